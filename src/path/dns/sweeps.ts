import * as keys from '../bucket-keys.ts'
import type { CompiledPolicy } from '../compile.ts'
import type { PacketView } from '../decode.ts'
import { ReadAhead } from '../read-ahead.ts'
import { BucketTable } from '../table.ts'
import type { DnsMessage } from './message.ts'

/** What a sequence of reverse names shows. The index is what records and counters hold. */
export const SWEEP_KINDS = ['none', 'sequential', 'random', 'tree'] as const

export const SweepKind = { none: 0, sequential: 1, random: 2, tree: 3 } as const
export type SweepKind = (typeof SweepKind)[keyof typeof SweepKind]

// Constants of this module cost compiled code nothing; an import is looked up each time, a function too.
const { networkBits } = keys
const { none: NONE, sequential: SEQUENTIAL, random: RANDOM, tree: TREE } = SweepKind

/** A record is a cache line: the time as a double, then words, then numbers that fade as 32-bit floats. */
const WORDS = 16
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

/** Clients in one network ask more than one of them does: so many times more names make its sweep. */
const NETWORK_FACTOR = 4

/** Of the bitmap that tells new names from old ones. Half of them set, it starts anew. */
const BITS = 64

/** A record that has more names is kept longer when its set is full: 500 ms for each, at most a minute. */
const KEPT_MS_PER_NAME = 500
const KEPT_MS = 60_000

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
 * Finds walks through the reverse trees: of one source, and of all sources of a network together, since a
 * walk may be dealt out to many. For each, a record of 64 bytes holds the last names and what the steps from
 * those to the next were like. Counts fade with time, `within` being the time constant; so a record is constant
 * in size and in cost, whatever its owner does.
 *
 * Only names count that are new, by a bitmap of 64 bits: honest clients ask for the same few addresses again
 * and again, which lie close to one another as well.
 *
 * A walk is sequential when most steps are of 1 or 2. It is random when most stay in one network (IPv4 /16,
 * IPv6 /48): those who resolve what they meet on the internet hardly ever do that, while they do have the mean
 * distance of 150 to 210 that the papers found in random walks. Names of ip6.arpa that are no whole address are
 * a walk down its tree: nobody has an address that short.
 *
 * A record that is forgotten costs the host as many names as make a sweep.
 */
export class Sweeps {
  declare private readonly table: BucketTable
  declare private readonly times: Float64Array
  declare private readonly words: Uint32Array
  declare private readonly floats: Float32Array
  declare private readonly ahead: ReadAhead
  /** By kind; recognised since the start. */
  declare private readonly recognised: Float64Array

  /** Bytes of memory for the records behind a table of so many bytes. */
  static recordBytes(tableBytes: number): number {
    return BucketTable.slots(tableBytes) * WORDS * 4
  }

  constructor(
    table: SharedArrayBuffer,
    records: SharedArrayBuffer,
    seed: Uint32Array,
    stats: Float64Array,
    recognised: Float64Array,
  ) {
    this.table = new BucketTable(table, stats, seed)
    this.times = new Float64Array(records)
    this.words = new Uint32Array(records)
    this.floats = new Float32Array(records)
    this.ahead = new ReadAhead(new Int32Array(records))
    this.recognised = recognised
  }

  /** Notes what `note` will look at for `view`: it is in the cache after `fetch`. */
  expect(view: PacketView): void {
    const family = view.family === 6 ? 1 : 0
    const source = this.table.expect(view.sourceHigh, view.sourceLow, 2 | family)
    const network = this.table.expect(view.sourceHigh, networkBits(view), 4 | family)
    this.ahead.note(BucketTable.numberOf(source) * WORDS)
    this.ahead.note(BucketTable.numberOf(network) * WORDS)
  }

  fetch(): void {
    this.table.ahead.fetch()
    this.ahead.fetch()
  }

  /**
   * Takes note of a reverse name that the source of `view` asks for.
   *
   * @param mayInsert whether whoever has no record gets one
   * @returns what the source walks, or its network
   */
  note(
    view: PacketView,
    message: DnsMessage,
    policy: CompiledPolicy,
    nowMs: number,
    mayInsert: boolean,
  ): SweepKind {
    const family = view.family === 6 ? 1 : 0
    const bySource = this.#note(
      this.#find(view.sourceHigh, view.sourceLow, 2 | family, nowMs, mayInsert),
      message,
      policy,
      nowMs,
      1,
    )
    const byNetwork = this.#note(
      this.#find(view.sourceHigh, networkBits(view), 4 | family, nowMs, mayInsert),
      message,
      policy,
      nowMs,
      NETWORK_FACTOR,
    )
    return bySource === NONE ? byNetwork : bySource
  }

  /**
   * For the control thread: the record of a source or network, by the path's two numbers for it. It may be
   * torn by the path that writes it: good enough to show.
   */
  evidence(
    family: 4 | 6,
    high: number,
    low: number,
    isNetwork: boolean,
    nowMs: number,
    withinMs: number,
  ): SweepEvidence | undefined {
    const slot = this.table.find(high, low, (isNetwork ? 4 : 2) | (family === 6 ? 1 : 0))
    if (slot < 0) return undefined
    const at = BucketTable.numberOf(slot) * WORDS
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

  #find(high: number, low: number, tag: number, nowMs: number, mayInsert: boolean): number {
    let slot = this.table.find(high, low, tag)
    if (slot < 0 && mayInsert) {
      slot = this.table.insert(high, low, tag, nowMs)
      const at = BucketTable.numberOf(slot) * WORDS
      this.words.fill(0, at, at + WORDS)
      this.times[at >> 1] = nowMs
    }
    return slot
  }

  #note(slot: number, message: DnsMessage, policy: CompiledPolicy, nowMs: number, factor: number): SweepKind {
    if (slot < 0) return NONE
    const words = this.words
    const at = BucketTable.numberOf(slot) * WORDS
    const isWhole = message.prefixLength === (message.family === 4 ? 32 : 128)
    // A name below an address or prefix, such as lb._dns-sd._udp (RFC 6763, 11), says nothing about a walk.
    const counts = !message.hasMore && (isWhole || message.family === 6)
    const weight = counts ? this.#newness(at, message) : 0
    if (weight > 0) {
      this.#fade(at, policy.sweepWithinMs, nowMs)
      if (isWhole) this.#step(at, message, weight)
      else this.floats[at + PARTIAL]! += weight
      this.#judge(at, policy.sweepNames * factor, policy.sweepPartial * factor)
      const keptMs = Math.min(KEPT_MS, this.floats[at + NAMES]! * KEPT_MS_PER_NAME)
      this.table.fullAtMs[slot] = nowMs + keptMs
    }
    if (counts && isWhole) this.#remember(at, message)
    return words[at + KIND] as SweepKind
  }

  /**
   * 0 when the record has seen the name, as far as 64 bits can tell; otherwise for how many new names this one
   * stands, which are those that fell on bits set already (linear counting, Whang 1990).
   */
  #newness(at: number, { address, prefixLength }: DnsMessage): number {
    const words = this.words
    let hash = Math.imul(address[0]! ^ prefixLength, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ address[1]!, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13) ^ address[2]!, 0xc2b2ae35)
    hash = Math.imul(hash ^ (hash >>> 16) ^ address[3]!, 0x27d4eb2f)
    hash = (hash ^ (hash >>> 15)) & (BITS - 1)
    const word = at + SEEN + (hash >> 5)
    const bit = 1 << (hash & 31)
    if ((words[word]! & bit) !== 0) return 0
    const set = bitCount(words[at + SEEN]!) + bitCount(words[at + SEEN + 1]!)
    if (set + 1 < BITS / 2) words[word]! |= bit
    else {
      words[at + SEEN] = 0
      words[at + SEEN + 1] = 0
    }
    return BITS / (BITS - set)
  }

  /** Over n even steps of a time t together, the factors come to about exp(-t / within). */
  #fade(at: number, withinMs: number, nowMs: number): void {
    const timeAt = at >> 1
    const elapsed = nowMs - this.times[timeAt]!
    this.times[timeAt] = nowMs
    if (!(elapsed > 0)) return
    const kept = withinMs / (withinMs + elapsed)
    for (let i = at + NAMES; i <= at + PARTIAL; i++) this.floats[i]! *= kept
  }

  #step(at: number, { address, family }: DnsMessage, weight: number): void {
    const words = this.words
    const floats = this.floats
    floats[at + NAMES]! += weight
    if (words[at + FAMILY] === 0) return
    floats[at + STEPS]! += weight
    // Between the trees all distances are the same: far.
    if ((words[at + FAMILY]! & 15) !== family) return
    const last = at + ADDRESS + (family === 4 ? this.#nearest(at, address[0]!) : 0)
    let isNear: boolean
    let isWithin: boolean
    if (family === 4) {
      isNear = Math.abs(words[last]! - address[0]!) <= NEAR_DISTANCE
      isWithin = (words[last]! ^ address[0]!) >>> 16 === 0
      floats[at + DISTANCE]! += weight * Math.sqrt(octetSquares(words[last]!, address[0]!))
    } else {
      const isSameHalf = words[last] === address[0] && words[last + 1] === address[1]
      const distance = Math.abs(words[last + 3]! - address[3]!)
      isNear = isSameHalf && words[last + 2] === address[2] && distance <= NEAR_DISTANCE
      isWithin = words[last] === address[0] && (words[last + 1]! ^ address[1]!) >>> 16 === 0
      let squares = 0
      for (let i = 0; i < 4; i++) squares += octetSquares(words[last + i]!, address[i]!)
      floats[at + DISTANCE]! += weight * Math.sqrt(squares)
    }
    if (isNear) floats[at + NEAR]! += weight
    if (isWithin) floats[at + WITHIN]! += weight
  }

  /** Which of the last four IPv4 addresses is nearest to this one. */
  #nearest(at: number, address: number): number {
    let nearest = 0
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < 4; i++) {
      const distance = Math.abs(this.words[at + ADDRESS + i]! - address)
      if (distance >= least) continue
      least = distance
      nearest = i
    }
    return nearest
  }

  /** The four words hold the last IPv6 address, or the last four of IPv4: so walks that are mixed are told apart. */
  #remember(at: number, { address, family }: DnsMessage): void {
    const words = this.words
    const isFirst = (words[at + FAMILY]! & 15) !== family
    if (family === 6) {
      words[at + FAMILY] = 6
      for (let i = 0; i < 4; i++) words[at + ADDRESS + i] = address[i]!
    } else if (isFirst) {
      words[at + FAMILY] = 4
      words.fill(address[0]!, at + ADDRESS, at + ADDRESS + 4)
    } else {
      const next = (words[at + FAMILY]! >>> 4) & 3
      words[at + ADDRESS + next] = address[0]!
      words[at + FAMILY] = 4 | (((next + 1) & 3) << 4)
    }
  }

  /** What it was taken for it stays until half of what makes a sweep has faded. */
  #judge(at: number, names: number, partial: number): void {
    const floats = this.floats
    const steps = floats[at + STEPS]! * SHARE
    const was = this.words[at + KIND]!
    let kind: SweepKind = NONE
    if (floats[at + PARTIAL]! >= partial) kind = TREE
    else if (floats[at + NAMES]! >= names && floats[at + NEAR]! >= steps) kind = SEQUENTIAL
    else if (floats[at + NAMES]! >= names && floats[at + WITHIN]! >= steps) kind = RANDOM
    else if (floats[at + NAMES]! >= names / 2 || floats[at + PARTIAL]! >= partial / 2) kind = was as SweepKind
    this.words[at + KIND] = kind
    if (kind !== NONE && was === NONE) this.recognised[kind]!++
  }
}

/** What adds up to a Euclidean distance over the octets of two addresses, as the papers have it. */
function octetSquares(a: number, b: number): number {
  if (a === b) return 0
  let squares = 0
  for (let shift = 0; shift < 32; shift += 8) {
    const difference = ((a >>> shift) & 255) - ((b >>> shift) & 255)
    squares += difference * difference
  }
  return squares
}

/** Bits set (Hacker's Delight, 5-1). */
function bitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555)
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333)
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
