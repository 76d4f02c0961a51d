import type { Service } from '../config/policy.ts'
import type { LimitKind } from '../path/compile.ts'
import type { BucketCounts, NarrowCounts } from './bucket-record.ts'
import type { Moment } from './moment.ts'
import { REPLAY_REASONS, type ReplayReason, reasonFlags } from './replay-reason.ts'

/** The limit that each reason for a refusal names. */
export const REFUSING_LIMIT: Partial<Record<ReplayReason, LimitKind>> = {
  'source-limit': 'source',
  'network-limit': 'network',
  'total-limit': 'total',
  // The bucket of a source known good is its own, too.
  'known-limit': 'source',
}

/** Reasons for which an attempt is let through. */
const ACCEPTING: readonly ReplayReason[] = ['within-limit', 'known-good', 'cut-short']

/** Reasons of limits that are narrower than those of the service, which no record is of. */
const NARROWER: readonly ReplayReason[] = ['malformed-query', 'reverse-limit', 'sweep', 'reverse-flood']

/**
 * What counts as demand on each kind of bucket: attempts that took a token of it, or were refused for want
 * of one. Of a source, also what its ban dropped: that is the sender's doing alone.
 */
const DRAWS: Readonly<Record<LimitKind, readonly ReplayReason[]>> = {
  source: ['within-limit', 'cut-short', 'source-limit', 'known-good', 'known-limit', 'banned'],
  network: ['within-limit', 'cut-short', 'network-limit'],
  total: ['within-limit', 'cut-short', 'total-limit'],
}

// The numbers of a row. A moment takes two places.
const ATTEMPTS = 0
const ACCEPTED = 1
const REFUSED = 2
const REFUSED_BY_OTHERS = 3
const RETRANSMISSIONS = 4
const BANNED = 5
const FIRST_REFUSAL_BY_OTHERS = 6
const LEVEL = 8
const LEVEL_AT = 9
const DEMAND = 10
const FIRST_REFUSAL = 11
const LAST_REFUSAL = 13
const PEAK = 15
const NUMBERS = 17

// The numbers of a row about refusals by narrower limits, which count as those of others too.
const REFUSED_NARROWLY = 0
const FIRST_NARROWLY = 1
const NARROW_REASON = 3
const NARROW_NUMBERS = 4

/**
 * What buckets of one kind saw, a row of numbers for each, in one typed array: an object for each, with more for
 * its moments, took the replay of a flood more time than the decisions did.
 *
 * Demand is what is asked of a bucket, whether it is granted or not: how far it is used up, as if it had no
 * bottom. Its peak is the burst that would have let everything through. Up to the burst of the limit this is
 * the level of the real bucket; beyond, it is the margin of the refusals.
 */
export class BucketRows {
  declare private readonly numbers: Float64Array
  /** Made when it is needed: rows are to be short, since a flood touches one for each packet. */
  private narrow: Float64Array | undefined
  /** By service: tokens a second; 0: there is no such limit. */
  declare private readonly rates: Float64Array
  /** By reason: whether it is demand, and which number counts it, 0 for none. */
  declare private readonly draws: Uint8Array
  declare private readonly counters: Uint8Array
  declare private readonly isNarrow: Uint8Array
  declare private readonly isOfSources: boolean

  /** @param rows how many there are */
  constructor(kind: LimitKind, services: readonly Service[], rows: number) {
    this.numbers = new Float64Array(NUMBERS * rows)
    this.rates = Float64Array.from(services, ({ limits }) => limits[kind]?.ratePerSecond ?? 0)
    this.draws = reasonFlags(DRAWS[kind])
    this.counters = Uint8Array.from(REPLAY_REASONS, (reason) => counterOf(reason, kind))
    this.isNarrow = reasonFlags(NARROWER)
    this.isOfSources = kind === 'source'
  }

  get length(): number {
    return this.numbers.length / NUMBERS
  }

  /** Whether an attempt that was decided for `reason` makes its bucket worth reporting. */
  isNotableReason(reason: number): boolean {
    const counter = this.counters[reason]!
    return counter === REFUSED || (this.isOfSources && counter === BANNED)
  }

  clear(row: number): void {
    this.numbers.fill(0, row * NUMBERS, (row + 1) * NUMBERS)
    this.narrow?.fill(0, row * NARROW_NUMBERS, (row + 1) * NARROW_NUMBERS)
  }

  /** One more attempt at the service in place `slot` of the policy. @param reason its number */
  add(row: number, slot: number, reason: number, moment: Moment): void {
    const numbers = this.numbers
    const at = row * NUMBERS
    numbers[at + ATTEMPTS]!++
    if (this.draws[reason] === 1 && this.rates[slot]! > 0) this.#draw(at, slot, moment)
    const counter = this.counters[reason]!
    if (counter === 0) return
    const before = numbers[at + counter]!
    numbers[at + counter] = before + 1
    if (counter === REFUSED) {
      this.#note(at + LAST_REFUSAL, moment)
      if (before === 0) this.#note(at + FIRST_REFUSAL, moment)
    } else if (counter === REFUSED_BY_OTHERS) {
      if (before === 0) this.#note(at + FIRST_REFUSAL_BY_OTHERS, moment)
      if (this.isNarrow[reason] === 1) this.#refuseNarrowly(row, reason, moment)
    }
  }

  read(row: number): BucketCounts {
    const at = row * NUMBERS
    const number = (place: number) => this.numbers[at + place]!
    const moment = (place: number, isThere: boolean): Moment | undefined =>
      isThere ? { timeMs: number(place), elapsedMs: number(place + 1) } : undefined
    const refused = number(REFUSED)
    const refusedByOthers = number(REFUSED_BY_OTHERS)
    const demand = number(DEMAND)
    return {
      attempts: number(ATTEMPTS),
      accepted: number(ACCEPTED),
      refused,
      refusedByOthers,
      retransmissions: number(RETRANSMISSIONS),
      banned: number(BANNED),
      firstRefusal: moment(FIRST_REFUSAL, refused > 0),
      firstRefusalByOthers: moment(FIRST_REFUSAL_BY_OTHERS, refusedByOthers > 0),
      lastRefusal: moment(LAST_REFUSAL, refused > 0),
      peak: moment(PEAK, demand > 0),
      demand,
      ...this.#readNarrow(row),
    }
  }

  #readNarrow(row: number): NarrowCounts {
    const at = row * NARROW_NUMBERS
    const number = (place: number) => this.narrow?.[at + place] ?? 0
    const refusedNarrowly = number(REFUSED_NARROWLY)
    if (refusedNarrowly === 0) return { refusedNarrowly, firstNarrowly: undefined, narrowReason: undefined }
    return {
      refusedNarrowly,
      firstNarrowly: { timeMs: number(FIRST_NARROWLY), elapsedMs: number(FIRST_NARROWLY + 1) },
      narrowReason: REPLAY_REASONS[number(NARROW_REASON)],
    }
  }

  #refuseNarrowly(row: number, reason: number, moment: Moment): void {
    this.narrow ??= new Float64Array(this.length * NARROW_NUMBERS)
    const { narrow } = this
    const at = row * NARROW_NUMBERS
    if (narrow[at + REFUSED_NARROWLY]!++ > 0) return
    narrow[at + FIRST_NARROWLY] = moment.timeMs
    narrow[at + FIRST_NARROWLY + 1] = moment.elapsedMs
    narrow[at + NARROW_REASON] = reason
  }

  #draw(at: number, slot: number, moment: Moment): void {
    const numbers = this.numbers
    const elapsedMs = moment.elapsedMs
    const grown = ((elapsedMs - numbers[at + LEVEL_AT]!) / 1000) * this.rates[slot]!
    const left = numbers[at + LEVEL]! - grown
    const level = (left > 0 ? left : 0) + 1
    numbers[at + LEVEL] = level
    numbers[at + LEVEL_AT] = elapsedMs
    if (level <= numbers[at + DEMAND]!) return
    numbers[at + DEMAND] = level
    this.#note(at + PEAK, moment)
  }

  #note(at: number, moment: Moment): void {
    this.numbers[at] = moment.timeMs
    this.numbers[at + 1] = moment.elapsedMs
  }
}

function counterOf(reason: ReplayReason, kind: LimitKind): number {
  if (ACCEPTING.includes(reason)) return ACCEPTED
  if (reason === 'retransmission') return RETRANSMISSIONS
  if (reason === 'banned') return BANNED
  const limit = REFUSING_LIMIT[reason]
  if (limit === kind) return REFUSED
  return limit !== undefined || NARROWER.includes(reason) ? REFUSED_BY_OTHERS : 0
}
