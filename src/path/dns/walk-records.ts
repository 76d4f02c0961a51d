import type { CompiledPolicy } from '../compile.ts'
import type { DnsMessage } from './message.ts'

/** What a sequence of reverse names shows. The index is what records and counters hold. */
export const SWEEP_KINDS = ['none', 'sequential', 'random', 'tree'] as const

export const SweepKind = { none: 0, sequential: 1, random: 2, tree: 3 } as const
export type SweepKind = (typeof SweepKind)[keyof typeof SweepKind]

// Constants of this module cost compiled code nothing; an import is looked up each time, a function too.
const { none: NONE, sequential: SEQUENTIAL, random: RANDOM, tree: TREE } = SweepKind

/** A record is a cache line: the time as a double, then words, then numbers that fade as 32-bit floats. */
export const RECORD_WORDS = 16
const WORDS = RECORD_WORDS
const ADDRESS = 2
const SEEN = 6
const FAMILY = 8
const NAMES = 9
const STEPS = 10
const NEAR = 11
const WITHIN = 12
const DISTANCE = 13
const PARTIAL = 14
const KIND = 15

/** A step this short belongs to a sequential walk (Musashi 2010, Shibata 2012: distances of 1.0 to 2.0). */
const NEAR_DISTANCE = 2

/** Share of the steps that must be near, or within one network: decoys and the names of others disturb some. */
const SHARE = 0.6

/** Of the bitmap that tells new names from old ones. Half of them set, it starts anew. */
const BITS = 64

/** What a record says, for people. */
export interface SweepEvidence {
  readonly kind: (typeof SWEEP_KINDS)[number]
  /** New names of the last time, older ones count less; and names of ip6.arpa that were no whole address. */
  readonly names: number
  readonly partial: number
  /** Shares of the steps from one name to the next, and their mean Euclidean distance over octets. */
  readonly near: number
  readonly within: number
  readonly meanDistance: number
}

/**
 * What the reverse names that somebody asks for were like: the last of them, and what the steps from those to the
 * next were like. Counts fade with time, `within` being the time constant; so a record is constant in size and in
 * cost, whatever its owner does.
 *
 * Only names count that are new, by a bitmap of 64 bits: honest clients ask for the same few addresses again
 * and again, which lie close to one another as well.
 *
 * A walk is sequential when most steps are of 1 or 2. It is random when most stay in one network (IPv4 /16,
 * IPv6 /48): those who resolve what they meet on the internet hardly ever do that, while they do have the mean
 * distance of 150 to 210 that the papers found in random walks. Names of ip6.arpa that are no whole address are
 * a walk down its tree: nobody has an address that short.
 */
export class WalkRecords {
  declare readonly words: Int32Array
  declare private readonly times: Float64Array
  declare private readonly floats: Float32Array
  /** By kind; recognised since the start. */
  declare private readonly recognised: Float64Array

  constructor(memory: SharedArrayBuffer, recognised: Float64Array) {
    this.words = new Int32Array(memory)
    this.times = new Float64Array(memory)
    this.floats = new Float32Array(memory)
    this.recognised = recognised
  }

  /** Begins record `number` anew. */
  clear(number: number, nowMs: number): void {
    const at = number * WORDS
    this.words.fill(0, at, at + WORDS)
    this.times[at >> 1] = nowMs
  }

  kindOf(number: number): SweepKind {
    return this.words[number * WORDS + KIND] as SweepKind
  }

  /** New names of the last time, older ones count less. */
  namesOf(number: number): number {
    return this.floats[number * WORDS + NAMES]!
  }

  /**
   * Takes note of a name that says something about a walk; `bit` is its `nameBit`.
   *
   * @param isWhole the name of an address, not of a prefix
   * @param factor so many times what makes a sweep of one client does here
   * @returns whether the name is a new one, as far as 64 bits can tell
   */
  note(
    number: number,
    message: DnsMessage,
    bit: number,
    isWhole: boolean,
    policy: CompiledPolicy,
    factor: number,
    nowMs: number,
  ): boolean {
    const at = number * WORDS
    const weight = this.#newness(at, bit)
    if (weight > 0) {
      const { floats } = this
      const kept = this.#kept(at, policy.sweepWithinMs, nowMs)
      // Fewer roundings than to fade first and add then, and each number is read and written once.
      let names = floats[at + NAMES]! * kept
      let steps = floats[at + STEPS]! * kept
      let near = floats[at + NEAR]! * kept
      let within = floats[at + WITHIN]! * kept
      let partial = floats[at + PARTIAL]! * kept
      let distance = floats[at + DISTANCE]! * kept
      if (isWhole) {
        names += weight
        const family = this.words[at + FAMILY]! & 15
        if (family !== 0) steps += weight
        // Between the trees all distances are the same: far.
        if (family === message.family) {
          const last = at + ADDRESS + (family === 4 ? this.#nearest(at, message.address[0]!) : 0)
          near += this.#isNear(last, message) ? weight : 0
          within += this.#isWithin(last, message) ? weight : 0
          distance += weight * this.#distance(last, message)
        }
      } else partial += weight
      floats[at + NAMES] = names
      floats[at + STEPS] = steps
      floats[at + NEAR] = near
      floats[at + WITHIN] = within
      floats[at + PARTIAL] = partial
      floats[at + DISTANCE] = distance
      const enough = policy.sweepNames * factor
      const most = steps * SHARE
      let kind: SweepKind = NONE
      if (partial >= policy.sweepPartial * factor) kind = TREE
      else if (names >= enough && near >= most) kind = SEQUENTIAL
      else if (names >= enough && within >= most) kind = RANDOM
      const was = this.words[at + KIND]!
      if (kind !== was) {
        // What it was taken for it stays until half of what makes a sweep has faded.
        const isKept = 2 * names >= enough || 2 * partial >= policy.sweepPartial * factor
        if (kind !== NONE || !isKept) this.words[at + KIND] = kind
        if (was === NONE) this.recognised[kind]!++
      }
    }
    if (isWhole) this.#remember(at, message)
    return weight > 0
  }

  /** For the control thread. It may be torn by the path that writes it: good enough to show. */
  evidence(number: number, nowMs: number, withinMs: number): SweepEvidence {
    const at = number * WORDS
    const elapsed = Math.max(0, nowMs - this.times[at >> 1]!)
    const kept = withinMs / (withinMs + elapsed)
    const steps = this.floats[at + STEPS]! || 1
    return {
      kind: SWEEP_KINDS[this.words[at + KIND]!]!,
      names: this.floats[at + NAMES]! * kept,
      partial: this.floats[at + PARTIAL]! * kept,
      near: this.floats[at + NEAR]! / steps,
      within: this.floats[at + WITHIN]! / steps,
      meanDistance: this.floats[at + DISTANCE]! / steps,
    }
  }

  /**
   * 0 when the record has seen the name; otherwise for how many new names this one stands, which are those that fell
   * on bits set already (linear counting, Whang 1990).
   */
  #newness(at: number, bit: number): number {
    const words = this.words
    const word = at + SEEN + (bit >> 5)
    const mask = 1 << (bit & 31)
    if ((words[word]! & mask) !== 0) return 0
    const set = bitCount(words[at + SEEN]!) + bitCount(words[at + SEEN + 1]!)
    if (set + 1 < BITS / 2) words[word]! |= mask
    else {
      words[at + SEEN] = 0
      words[at + SEEN + 1] = 0
    }
    return BITS / (BITS - set)
  }

  /** What is left since the last name. Over n even steps of a time t together, it comes to about exp(-t / within). */
  #kept(at: number, withinMs: number, nowMs: number): number {
    const elapsed = nowMs - this.times[at >> 1]!
    this.times[at >> 1] = nowMs
    return elapsed > 0 ? withinMs / (withinMs + elapsed) : 1
  }

  /** Which of the last four IPv4 addresses is nearest to this one. */
  #nearest(at: number, address: number): number {
    const words = this.words
    const first = Math.abs((words[at + ADDRESS]! >>> 0) - address)
    const second = Math.abs((words[at + ADDRESS + 1]! >>> 0) - address)
    const third = Math.abs((words[at + ADDRESS + 2]! >>> 0) - address)
    const fourth = Math.abs((words[at + ADDRESS + 3]! >>> 0) - address)
    const ofFirst = second < first ? 1 : 0
    const ofLast = fourth < third ? 3 : 2
    return (ofLast === 3 ? fourth : third) < (ofFirst === 1 ? second : first) ? ofLast : ofFirst
  }

  #isNear(last: number, { address, family }: DnsMessage): boolean {
    const words = this.words
    if (family === 4) return Math.abs((words[last]! >>> 0) - address[0]!) <= NEAR_DISTANCE
    const isSameHalf = words[last] === (address[0]! | 0) && words[last + 1] === (address[1]! | 0)
    const isSame = isSameHalf && words[last + 2] === (address[2]! | 0)
    return isSame && Math.abs((words[last + 3]! >>> 0) - address[3]!) <= NEAR_DISTANCE
  }

  #isWithin(last: number, { address, family }: DnsMessage): boolean {
    const words = this.words
    if (family === 4) return (words[last]! ^ address[0]!) >>> 16 === 0
    return words[last] === (address[0]! | 0) && (words[last + 1]! ^ address[1]!) >>> 16 === 0
  }

  /** Euclidean, over the octets of two addresses, as the papers have it. */
  #distance(last: number, { address, family }: DnsMessage): number {
    const words = this.words
    let squares = octetSquares(words[last]!, address[0]! | 0)
    if (family === 6) for (let i = 1; i < 4; i++) squares += octetSquares(words[last + i]!, address[i]! | 0)
    return Math.sqrt(squares)
  }

  /** The four words hold the last IPv6 address, or the last four of IPv4: so walks that are mixed are told apart. */
  #remember(at: number, { address, family }: DnsMessage): void {
    const words = this.words
    const was = words[at + FAMILY]!
    if (family === 4 && (was & 15) === 4) {
      const next = (was >>> 4) & 3
      words[at + ADDRESS + next] = address[0]!
      words[at + FAMILY] = 4 | (((next + 1) & 3) << 4)
      return
    }
    words[at + FAMILY] = family
    for (let i = 0; i < 4; i++) words[at + ADDRESS + i] = address[family === 4 ? 0 : i]!
  }
}

/** Which bit of a record's bitmap tells whether the name in `message` is new. */
export function nameBit({ address, prefixLength }: DnsMessage): number {
  let hash = Math.imul(address[0]! ^ prefixLength, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 15) ^ address[1]!, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13) ^ address[2]!, 0xc2b2ae35)
  hash = Math.imul(hash ^ (hash >>> 16) ^ address[3]!, 0x27d4eb2f)
  return (hash ^ (hash >>> 15)) & (BITS - 1)
}

/** What adds up to a squared Euclidean distance over the octets of two addresses. */
function octetSquares(a: number, b: number): number {
  const first = (a >>> 24) - (b >>> 24)
  const second = ((a >>> 16) & 255) - ((b >>> 16) & 255)
  const third = ((a >>> 8) & 255) - ((b >>> 8) & 255)
  const fourth = (a & 255) - (b & 255)
  return first * first + second * second + third * third + fourth * fourth
}

/** Bits set (Hacker's Delight, 5-1). */
function bitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555)
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333)
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
