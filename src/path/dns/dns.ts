import type { CompiledPolicy } from '../compile.ts'
import * as compiled from '../compile.ts'
import type { PathCounters } from '../counters.ts'
import type { PacketView } from '../decode.ts'
import { HeavyHitters } from '../heavy-hitters.ts'
import type { Holds } from '../holds.ts'
import { Known } from '../known-good.ts'
import { type Limits, Standing } from '../limits.ts'
import { Reason } from '../reasons.ts'
import type { SharedState } from '../shared.ts'
import { DnsKind, DnsMessage } from './message.ts'
import * as parsing from './parse.ts'
import * as networks from './reverse-network.ts'
import { FloodShare, NO_SHARE, ReverseRate } from './reverse-rate.ts'
import { Slips } from './slips.ts'
import { Sweeps } from './sweeps.ts'
import { SweepKind } from './walk-records.ts'

// Constants of this module cost compiled code nothing; an import is looked up each time, a function too.
const { asksForName, parseDns } = parsing
const { countReverseNetwork } = networks
const { SOURCE_LIMIT } = compiled
const { reverse: REVERSE_SET, malformed: MALFORMED_SET, sweep: SWEEP_SET } = compiled.DnsSet
const { reverse: REVERSE, malformed: MALFORMED, cutShort: CUT_SHORT } = DnsKind
const { ordinary: ORDINARY, barred: BARRED, known: KNOWN } = Standing
const WITHIN_LIMIT = Reason.withinLimit
const KNOWN_GOOD = Reason.knownGood
const UNKNOWN = Known.none
const NO_SWEEP = SweepKind.none
const WITHOUT_SHARE = NO_SHARE
/** Needs none. */
const UNSHARED = -2

/** For so long before a flood a source must have asked, without a pause and without a refusal, to be served in it. */
const STEADY_MS = 600_000

/** For so long, in whole steps of `BucketTable.attend`, to be no stranger, but one of those who share what is set apart. */
export const HERE_MS = 32_000

/** Of a batch: for fewer, nothing is read ahead. */
const WORTH_WHILE = 4

/** Nobody takes an interest in them while sources are few. */
const COUNT_MASK = 0xffff

/**
 * What becomes of a datagram for a DNS service: first what is asked is looked at, then it draws from the
 * narrower limits of its kind, and last from those of the service, like any attempt.
 */
export class Dns {
  /** Of the datagram judged last. */
  readonly message = new DnsMessage()
  declare readonly rate: ReverseRate
  declare readonly sweeps: Sweeps
  declare private readonly limits: Limits
  declare private readonly holds: Holds
  declare private readonly kinds: Float64Array
  declare private readonly queriers: HeavyHitters
  declare private readonly reverseNetworks: HeavyHitters
  declare private readonly replies: Slips
  /** Reverse queries since `fetch`, and those of them that belong to a sweep. */
  #reverse = 0
  #walking = 0

  constructor(shared: SharedState, counters: PathCounters, limits: Limits, holds: Holds) {
    const { dns, seed } = shared
    this.rate = new ReverseRate(dns.rate)
    this.sweeps = new Sweeps(dns.walkers, dns.walks, seed, counters.walkers, counters.sweeps)
    this.limits = limits
    this.holds = holds
    this.kinds = counters.dnsKinds
    this.queriers = new HeavyHitters(shared.queriers, seed)
    this.reverseNetworks = new HeavyHitters(shared.reverseNetworks, seed)
    this.replies = new Slips(seed[2]!)
  }

  /**
   * Notes what `judge` will look at for `view` besides the buckets of its service, by what it had to look at for the
   * last batch: where hardly anybody asks for reverse names, to look for those would cost more than it spares.
   */
  expect(bytes: Uint8Array, view: PacketView): void {
    if (this.#reverse < WORTH_WHILE || !asksForName(bytes, view.payloadStart, view.payloadEnd)) return
    this.limits.expect(view, REVERSE_SET)
    this.sweeps.expect(view)
    if (this.#walking >= WORTH_WHILE) this.limits.expect(view, SWEEP_SET)
  }

  /** Has what was noted in the cache; a batch begins. */
  fetch(): void {
    this.sweeps.fetch()
    this.#reverse = 0
    this.#walking = 0
  }

  /** `Reason.withinLimit` or `Reason.cutShort`, or why the datagram is refused. */
  judge(bytes: Uint8Array, view: PacketView, service: number, policy: CompiledPolicy, nowMs: number): Reason {
    const { payloadStart, payloadEnd, isPayloadCut } = view
    const kind = parseDns(this.message, bytes, payloadStart, payloadEnd, isPayloadCut)
    this.kinds[kind]!++
    this.queriers.count(view.sourceHigh, view.sourceLow, view.family, 0, nowMs)
    if (kind === REVERSE) countReverseNetwork(this.reverseNetworks, this.message, nowMs)
    let reason: Reason = WITHIN_LIMIT
    if (kind === REVERSE) reason = this.#judgeReverse(view, service, policy, nowMs)
    else if (kind === MALFORMED && this.#isRefused(view, MALFORMED_SET, policy, nowMs))
      reason = Reason.malformedQuery
    if (reason === WITHIN_LIMIT) reason = this.limits.admit(view, service, policy, nowMs)
    if (reason !== WITHIN_LIMIT && reason !== KNOWN_GOOD) {
      if (this.limits.refusedKind === SOURCE_LIMIT) this.limits.unsettle(view, service)
      return reason
    }
    this.limits.attend(nowMs)
    return kind === CUT_SHORT ? Reason.cutShort : reason
  }

  /** Whether the datagram judged last, which is refused, is one of those that are answered with TC=1. */
  slips(bytes: Uint8Array, view: PacketView, policy: CompiledPolicy, nowMs: number): boolean {
    return this.replies.choose(bytes, view, this.message, policy, nowMs)
  }

  #judgeReverse(view: PacketView, service: number, policy: CompiledPolicy, nowMs: number): Reason {
    const { rate } = this
    const hasFloods = policy.floodFactor !== 0
    this.#reverse = (this.#reverse + 1) & COUNT_MASK
    if (hasFloods) rate.advance(policy, nowMs)
    const isFlooded = hasFloods && rate.isFlooded
    // During a flood, forged addresses would wash out the records of those who do walk.
    const sweep =
      policy.sweepNames === 0 ? NO_SWEEP : this.sweeps.note(view, this.message, policy, nowMs, !isFlooded)
    if (sweep !== NO_SWEEP) this.#walking = (this.#walking + 1) & COUNT_MASK
    const usual = this.limits.knownAs(view, service, nowMs) === UNKNOWN ? ORDINARY : KNOWN
    if (sweep !== NO_SWEEP && this.#isRefused(view, SWEEP_SET, policy, nowMs, usual)) return Reason.sweep
    const share = isFlooded && usual === ORDINARY ? this.#shareOf(view, service, nowMs) : UNSHARED
    const isGuest = share >= 0 && rate.hasRoom(share, nowMs)
    const standing = share === UNSHARED || isGuest ? usual : BARRED
    const reason = this.limits.admit(view, REVERSE_SET, policy, nowMs, standing)
    if (reason === Reason.sourceLimit || reason === Reason.networkLimit) return Reason.reverseLimit
    if (hasFloods) rate.count(policy, nowMs)
    if (reason === WITHIN_LIMIT) {
      if (isGuest) rate.take(share, policy, nowMs)
      if (isFlooded) this.holds.servedInFlood(view, policy, nowMs)
      return reason
    }
    if (standing !== BARRED) return Reason.reverseLimit
    this.holds.refusedInFlood(view, policy, nowMs)
    return Reason.reverseFlood
  }

  #isRefused(
    view: PacketView,
    set: number,
    policy: CompiledPolicy,
    nowMs: number,
    standing: Standing = ORDINARY,
  ): boolean {
    return this.limits.admit(view, set, policy, nowMs, standing) !== WITHIN_LIMIT
  }

  /**
   * Which share of a flood's threshold the source may draw from. In a flood, who has been steady before is served like
   * everybody is at other times.
   */
  #shareOf(view: PacketView, service: number, nowMs: number): number {
    const slot = this.limits.sourceSlot(view, service)
    const beforeMs = this.limits.attendedMs(slot, this.rate.sinceMs)
    if (beforeMs >= STEADY_MS) return UNSHARED
    if (beforeMs >= HERE_MS) return FloodShare.before
    return this.limits.attendedMs(slot, nowMs) >= HERE_MS ? FloodShare.since : WITHOUT_SHARE
  }
}
