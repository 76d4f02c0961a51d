import { REASONS } from '../path/reasons.ts'
import { BucketTable } from '../path/table.ts'
import type { Sight } from './bucket-record.ts'
import type { ReplayReason } from './engine.ts'

const REASON_NUMBERS: ReadonlyMap<ReplayReason, number> = new Map(REASONS.map(({ name }, i) => [name, i]))

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
 * addresses are never seen again: an object for each would keep the garbage collector busy with nothing
 * else. Beyond the number that fits, the oldest of some are forgotten.
 */
export class FirstSights {
  /** Sights forgotten for others. */
  forgotten = 0
  readonly #table: BucketTable
  /** By number of the slot in the table; a tag of 0: none. */
  readonly #highs: Int32Array
  readonly #lows: Int32Array
  readonly #tags: Uint16Array
  readonly #reasons: Uint8Array
  readonly #timeMs: Float64Array
  readonly #elapsedMs: Float64Array

  constructor(most: number) {
    const memory = new SharedArrayBuffer(BucketTable.bytes(2 * most))
    this.#table = new BucketTable(memory, new Float64Array(2), SEED)
    const slots = BucketTable.slots(memory.byteLength)
    this.#highs = new Int32Array(slots)
    this.#lows = new Int32Array(slots)
    this.#tags = new Uint16Array(slots)
    this.#reasons = new Uint8Array(slots)
    this.#timeMs = new Float64Array(slots)
    this.#elapsedMs = new Float64Array(slots)
  }

  /** Notes the only attempt of `key`, which the path decided. */
  add({ high, low, tag }: SightKey, { reason, timeMs, elapsedMs }: Sight): void {
    const found = this.#table.find(high, low, tag)
    const place = found >= 0 ? found : this.#table.insert(high, low, tag, elapsedMs)
    const slot = BucketTable.numberOf(place)
    if (this.#tags[slot] !== 0) this.forgotten++
    this.#highs[slot] = high
    this.#lows[slot] = low
    this.#tags[slot] = tag
    this.#reasons[slot] = REASON_NUMBERS.get(reason)!
    this.#timeMs[slot] = timeMs
    this.#elapsedMs[slot] = elapsedMs
    this.#table.fullAtMs[place] = elapsedMs
  }

  /** The attempt noted for `key`, which is no longer its only one. */
  take({ high, low, tag }: SightKey): Sight | undefined {
    const place = this.#table.find(high, low, tag)
    const slot = BucketTable.numberOf(place)
    if (place < 0 || this.#tags[slot] === 0) return undefined
    this.#tags[slot] = 0
    this.#table.fullAtMs[place] = Number.NEGATIVE_INFINITY
    return this.#sightAt(slot)
  }

  /** All that are noted. */
  *[Symbol.iterator](): Generator<readonly [SightKey, Sight]> {
    for (let slot = 0; slot < this.#tags.length; slot++) {
      const tag = this.#tags[slot]!
      if (tag === 0) continue
      yield [{ high: this.#highs[slot]!, low: this.#lows[slot]!, tag }, this.#sightAt(slot)]
    }
  }

  #sightAt(slot: number): Sight {
    return {
      reason: REASONS[this.#reasons[slot]!]!.name,
      timeMs: this.#timeMs[slot]!,
      elapsedMs: this.#elapsedMs[slot]!,
    }
  }
}
