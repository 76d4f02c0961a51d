import type { Service } from '../config/policy.ts'
import type { Family } from '../net/prefix.ts'
import { networkBits } from '../path/bucket-keys.ts'
import { BucketIndex } from './bucket-index.ts'
import { type BucketCounts, BucketRecord } from './bucket-record.ts'
import { BucketRows } from './bucket-rows.ts'
import { FirstSights, type SightKey } from './first-sights.ts'
import type { Judgement } from './observer.ts'
import { BANNED } from './replay-reason.ts'

// A constant of this module costs compiled code nothing; an import is looked up each time.
const BY_BAN = BANNED

/**
 * Records of sources, or of networks, in bounded memory. Those worth reporting are kept for good, as many
 * as fit; of the others, the one not seen for longest is forgotten. So a flood from a million forged
 * addresses, each seen once, does not wash out the one that was banned before it.
 */
export class BucketRecords {
  declare private readonly kind: 'source' | 'network'
  declare private readonly services: readonly Service[]
  declare private readonly rows: BucketRows
  declare private readonly index: BucketIndex
  declare private readonly firsts: FirstSights
  /** Whoever was seen once, while his record is made. */
  declare private readonly one: BucketRows

  /** @param most how many are kept for good, and as many others, and of those seen only once */
  constructor(kind: 'source' | 'network', services: readonly Service[], most: number) {
    this.kind = kind
    this.services = services
    this.rows = new BucketRows(kind, services, BucketIndex.rows(most))
    this.index = new BucketIndex(most)
    this.firsts = new FirstSights(most)
    this.one = new BucketRows(kind, services, 1)
  }

  /** Records forgotten for others; a source that comes back then counts anew. */
  get forgotten(): number {
    return this.index.forgotten + this.firsts.forgotten
  }

  /** Records the attempt. */
  add({ attempt, slot, reasonNumber: reason }: Judgement): void {
    const { view } = attempt
    const high = view.sourceHigh
    const low = this.kind === 'source' ? view.sourceLow : networkBits(view)
    const tag = tagOf(slot, view.family)
    const { rows, index } = this
    const isNotable = rows.isNotableReason(reason)
    let row = index.find(high, low, tag)
    if (row < 0) row = this.#again(high, low, tag)
    if (row < 0) {
      // What a ban drops is never the only attempt of its source.
      if (!isNotable && reason !== BY_BAN) {
        this.firsts.add(high, low, tag, reason, attempt)
        return
      }
      row = this.#insert(high, low, tag)
    }
    rows.add(row, slot, reason, attempt)
    if (isNotable) index.keep(row)
  }

  /** The numbers of all that are remembered; `at` reads each. */
  *numbers(): Generator<number> {
    yield* this.index
    for (const slot of this.firsts) yield this.rows.length + slot
  }

  /** What is remembered under one of `numbers`, until the next `add`. */
  at(number: number): BucketRecord {
    const { index, rows, firsts, one } = this
    if (number < rows.length) return this.#recordOf(index.keyOf(number), rows.read(number))
    const slot = number - rows.length
    const key = firsts.keyOf(slot)
    one.clear(0)
    one.add(0, slotOf(key.tag), firsts.reasons[slot]!, firsts.momentAt(slot))
    return this.#recordOf(key, one.read(0))
  }

  /** All that are remembered, each made when its turn comes. */
  *[Symbol.iterator](): Generator<BucketRecord> {
    for (const number of this.numbers()) yield this.at(number)
  }

  /** The row of one who was seen once, or -1. */
  #again(high: number, low: number, tag: number): number {
    const { firsts } = this
    const first = firsts.take(high, low, tag)
    if (first < 0) return -1
    const row = this.#insert(high, low, tag)
    this.rows.add(row, slotOf(tag), firsts.reasons[first]!, firsts.momentAt(first))
    return row
  }

  #insert(high: number, low: number, tag: number): number {
    const row = this.index.insert(high, low, tag)
    this.rows.clear(row)
    return row
  }

  #recordOf({ high, low, tag }: SightKey, counts: BucketCounts): BucketRecord {
    return new BucketRecord(this.kind, this.services[slotOf(tag)]!, familyOf(tag), high, low, counts)
  }
}

/** Tells apart the buckets of one source, or network: a place in the policy and a family, as a number below 512. */
export function tagOf(slot: number, family: Family): number {
  return 0x100 | (slot << 1) | (family === 6 ? 1 : 0)
}

/** The place in the policy that `tagOf` was told. */
export function slotOf(tag: number): number {
  return (tag & 0xff) >> 1
}

/** The family that `tagOf` was told. */
export function familyOf(tag: number): Family {
  return (tag & 1) === 1 ? 6 : 4
}
