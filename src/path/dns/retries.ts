import type { PacketView } from '../decode.ts'
import { DnsKind, type DnsMessage } from './message.ts'

/** Queries that are kept in mind: 1 MiB, or nine seconds of a flood of 30,000 a second. */
const SETS = 2 ** 15
const WAYS = 8

/** A mark has 24 bits of a word, and the time the others: 25 s, in steps of 100 ms. */
const STEP_MS = 100
const TIME_MASK = 255

/** Resolvers ask again after 0.4 to 5 s (Unbound, BIND, glibc), some after twice as long. */
const PATIENCE_STEPS = 100

/** A source that was helped is not helped again before that. */
const REST_STEPS = 10

/** Marks a source by itself, where others mark its questions. */
const NO_QUESTION = 0

/**
 * The refused queries of the last seconds, to tell who asks the same again: resolvers do when they get no
 * answer, while a flood from forged addresses hits upon the same source and name once in 2^32 or so. Who forges
 * both twice is taken for a resolver as well: that costs him half of his flood, and slips.ts says what it wins him.
 *
 * Bounded: a set that is full forgets the query of longest ago. A flood so fast that the table is washed out in less
 * than a resolver waits costs honest strangers this help.
 */
export class Retries {
  readonly #marks = new Uint32Array(SETS * WAYS)
  readonly #seed: number

  constructor(seed: number) {
    this.#seed = seed | 0
  }

  /** Takes note of the refused query in `bytes`; true if its source has asked the same not long ago. */
  isRetry(bytes: Uint8Array, view: PacketView, message: DnsMessage, nowMs: number): boolean {
    return this.#note(view, questionHash(bytes, message), nowMs) <= PATIENCE_STEPS
  }

  /** Whether the source of `view` may be helped; then it was. */
  help(view: PacketView, nowMs: number): boolean {
    return this.#note(view, NO_QUESTION, nowMs) > REST_STEPS
  }

  /** Notes a source and a question. @returns steps since they were noted before; more than `TIME_MASK`: they were not */
  #note(view: PacketView, question: number, nowMs: number): number {
    const marks = this.#marks
    let hash = Math.imul(view.sourceLow ^ this.#seed, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ view.sourceHigh, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13) ^ question, 0xc2b2ae35)
    hash ^= hash >>> 16
    const first = (hash & (SETS - 1)) * WAYS
    const mark = (Math.imul(hash ^ question, 0x27d4eb2f) & ~TIME_MASK) >>> 0 || TIME_MASK + 1
    const step = Math.floor(nowMs / STEP_MS) & TIME_MASK
    let victim = first
    let oldest = -1
    for (let at = first; at < first + WAYS; at++) {
      const word = marks[at]!
      const age = word === 0 ? TIME_MASK + 1 : (step - word) & TIME_MASK
      if ((word & ~TIME_MASK) >>> 0 === mark) {
        marks[at] = mark | step
        return age
      }
      if (age <= oldest) continue
      oldest = age
      victim = at
    }
    marks[victim] = mark | step
    return TIME_MASK + 1
  }
}

/** Of the address that a reverse name means, or of a name whatever its case (0x20 bits) and its type; never 0. */
function questionHash(
  bytes: Uint8Array,
  { kind, address, prefixLength, start, questionEnd }: DnsMessage,
): number {
  let hash = prefixLength + 1
  if (kind === DnsKind.reverse) {
    for (let word = 0; word < 4; word++) hash = Math.imul(hash ^ (hash >>> 15) ^ address[word]!, 0x85ebca6b)
  } else {
    for (let at = start + 12; at < questionEnd; at++)
      hash = Math.imul(hash ^ (hash >>> 15) ^ (bytes[at]! | 0x20), 0x9e3779b1)
  }
  return hash === NO_QUESTION ? 1 : hash
}
