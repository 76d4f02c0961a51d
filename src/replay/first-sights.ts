import { BucketTable } from '../path/table.ts'
import type { Moment } from './moment.ts'

/** Where each lies in the table is not to depend on chance. */
const SEED = Uint32Array.of(1, 2)

/** Whose attempt it was: the path's two numbers for a source or network, and a tag for family and service. */
export interface SightKey {
  readonly high: number
  readonly low: number
  /** 1 to 1023. */
  readonly tag: number
}

/**
 * The attempts of those who have made only one so far, in typed arrays. Most sources of a flood with forged
 * addresses are never seen again, and are not to wash out those that are. Beyond the number that fits, the
 * oldest of some are forgotten. A key is that of `SightKey` in three numbers.
 */
export class FirstSights {
  /** Sights forgotten for others. */
  forgotten = 0
  /** By number of the slot in the table; a tag of 0: none. */
  declare private readonly highs: Int32Array
  declare private readonly lows: Int32Array
  declare private readonly tags: Uint16Array
  /** As numbers: see `REPLAY_REASONS`. */
  declare readonly reasons: Uint8Array
  declare private readonly timeMs: Float64Array
  declare private readonly elapsedMs: Float64Array
  declare private readonly table: BucketTable
  #count = 0

  constructor(most: number) {
    const memory = new SharedArrayBuffer(BucketTable.bytes(2 * most))
    this.table = new BucketTable(memory, new Float64Array(2), SEED)
    const slots = BucketTable.slots(memory.byteLength)
    this.highs = new Int32Array(slots)
    this.lows = new Int32Array(slots)
    this.tags = new Uint16Array(slots)
    this.reasons = new Uint8Array(slots)
    this.timeMs = new Float64Array(slots)
    this.elapsedMs = new Float64Array(slots)
  }

  /** Notes the only attempt of a key, which the path decided. */
  add(high: number, low: number, tag: number, reason: number, moment: Moment): void {
    const table = this.table
    const elapsedMs = moment.elapsedMs
    const found = table.find(high, low, tag)
    const place = found >= 0 ? found : table.insert(high, low, tag, elapsedMs)
    const slot = BucketTable.numberOf(place)
    if (this.tags[slot] !== 0) this.forgotten++
    else this.#count++
    this.highs[slot] = high
    this.lows[slot] = low
    this.tags[slot] = tag
    this.reasons[slot] = reason
    this.timeMs[slot] = moment.timeMs
    this.elapsedMs[slot] = elapsedMs
    table.fullAtMs[place] = elapsedMs
  }

  /** The slot of the attempt noted for a key, which is no longer its only one, or -1; it lasts until the next `add`. */
  take(high: number, low: number, tag: number): number {
    if (this.#count === 0) return -1
    const place = this.table.find(high, low, tag)
    if (place < 0) return -1
    const slot = BucketTable.numberOf(place)
    if (this.tags[slot] === 0) return -1
    this.tags[slot] = 0
    this.table.fullAtMs[place] = Number.NEGATIVE_INFINITY
    this.#count--
    return slot
  }

  keyOf(slot: number): SightKey {
    return { high: this.highs[slot]!, low: this.lows[slot]!, tag: this.tags[slot]! }
  }

  momentAt(slot: number): Moment {
    return { timeMs: this.timeMs[slot]!, elapsedMs: this.elapsedMs[slot]! }
  }

  /** The slots of all that are noted. */
  *[Symbol.iterator](): Generator<number> {
    if (this.#count === 0) return
    for (let slot = 0; slot < this.tags.length; slot++) if (this.tags[slot] !== 0) yield slot
  }
}
