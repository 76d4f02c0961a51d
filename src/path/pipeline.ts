import { setFlagsFromString } from 'node:v8'
import * as classes from './classify.ts'
import type { CompiledPolicy } from './compile.ts'
import * as counted from './counters.ts'
import { PathCounters } from './counters.ts'
import * as headers from './decode.ts'
import { PacketView } from './decode.ts'
import { Answers } from './dns/answers.ts'
import { Dns } from './dns/dns.ts'
import { OwnQueries } from './dns/own-queries.ts'
import { Holds } from './holds.ts'
import { KnownGood } from './known-good.ts'
import { Limits } from './limits.ts'
import { REASONS, Reason, Verdict } from './reasons.ts'
import { Retransmissions } from './retransmissions.ts'
import { NO_SERVICE } from './service-slots.ts'
import type { SharedState } from './shared.ts'
import { SourceRing } from './source-ring.ts'
import { BucketTable } from './table.ts'
import { Timestamps } from './timestamps.ts'

// V8 stops inlining at a budget. This lets it compile the path, which is many small functions, as one: it
// halves the instructions of a decision. More would bring nothing, and take a second to compile.
setFlagsFromString('--max-inlined-bytecode-size=2000')
setFlagsFromString('--max-inlined-bytecode-size-cumulative=12000')
setFlagsFromString('--max-inlined-bytecode-size-absolute=12000')

// Constants of this module cost compiled code nothing; an import is looked up each time, a function too.
const { classify, exempt } = classes
const { decisionIndex } = counted
const { decode } = headers
const WITHIN_LIMIT = Reason.withinLimit
const NONE = NO_SERVICE
const { accept: ACCEPT, drop: DROP, shadow: SHADOW } = Verdict
const TCP = 6
const UDP = 17

/** So many buckets, in half a megabyte, stay in the second-level cache. */
const FEW_BUCKETS = 8192

/** By reason, as numbers for the path. */
const REFUSES = Uint8Array.from(REASONS, (reason) => (reason.refuses ? 1 : 0))

/**
 * The packet path: from bytes to a verdict, with time as an argument, so that the kernel's queue and a
 * capture are judged by the same code. Nothing here allocates, waits or throws.
 *
 * `declare`, here and in what hangs on it: V8 takes a field that is written once for a constant, and compiles
 * the addresses of tables and counters into the code. A field with a # or without `declare` is written twice.
 */
export class Pipeline {
  policy: CompiledPolicy
  /** Of the packet judged last. */
  reason: Reason = Reason.withinLimit
  /**
   * Whether the packet judged last, a DNS query that was refused, is to be answered with an empty reply with
   * TC=1; `dns.message` says where its question is.
   */
  slip = false
  readonly view = new PacketView()
  readonly #ahead = new PacketView()
  declare readonly counters: PathCounters
  declare readonly holds: Holds
  declare readonly dns: Dns
  declare readonly ownQueries: OwnQueries
  declare private readonly sources: BucketTable
  declare private readonly limits: Limits
  declare private readonly retransmissions: Retransmissions
  declare private readonly promotions: SourceRing
  declare private readonly answers: Answers
  declare private readonly slipped: SourceRing
  declare private readonly timestamps: Timestamps
  /** Promotions since `takePromoted`. */
  #promoted = 0

  constructor(policy: CompiledPolicy, shared: SharedState) {
    this.policy = policy
    this.counters = new PathCounters(shared.counters)
    this.sources = new BucketTable(shared.sources, this.counters.sources, shared.seed)
    const networks = new BucketTable(shared.networks, this.counters.networks, shared.seed)
    this.limits = new Limits({
      sources: this.sources,
      networks,
      totalFullAtMs: new Float64Array(shared.totals),
      known: new KnownGood(shared.known),
    })
    this.retransmissions = new Retransmissions(shared.seed[2]!)
    this.promotions = new SourceRing(shared.promotions)
    this.holds = new Holds(shared, this.counters.holdsLost)
    this.dns = new Dns(shared, this.counters, this.limits, this.holds)
    this.slipped = new SourceRing(shared.slipped)
    this.answers = new Answers(shared.answers, this.counters.answers, shared.seed)
    this.ownQueries = new OwnQueries(shared, this.counters.lookupsLost)
    this.timestamps = new Timestamps(shared.timestamps, shared.seed[2]!)
  }

  /** The verdict on the packet at `bytes[offset, offset + length)`, which begins with its IP header. */
  judge(bytes: Uint8Array, offset: number, length: number, nowMs: number): Verdict {
    const view = this.view
    let service = NONE
    let reason = decode(view, bytes, offset, length)
    if (reason === WITHIN_LIMIT) {
      service = classify(view, this.policy)
      reason = exempt(view, service)
      // The rules send such datagrams only if they come from port 53 and nobody here has asked.
      if (service === NONE && view.protocol === UDP)
        reason = this.answers.judge(this.dns.message, bytes, view, nowMs)
    }
    if (reason === WITHIN_LIMIT) {
      reason = this.#isDns(service)
        ? this.dns.judge(bytes, view, service, this.policy, nowMs)
        : this.limits.admit(view, service, this.policy, nowMs)
    }
    if (REFUSES[reason] === 1) reason = this.#punish(service, reason, nowMs)
    return this.#settle(bytes, service, reason, nowMs)
  }

  /**
   * Notes what `judge` will look at for the packet at `bytes[offset, offset + length)`: it is in the cache after
   * `fetch`. To do so for a whole batch lets its cache misses overlap.
   */
  expect(bytes: Uint8Array, offset: number, length: number): void {
    const view = this.#ahead
    if (decode(view, bytes, offset, length) !== WITHIN_LIMIT) return
    const service = classify(view, this.policy)
    if (exempt(view, service) !== WITHIN_LIMIT) return
    this.limits.expect(view, service)
    if (view.protocol !== TCP) {
      if (this.policy.isDns[service] === 1) this.dns.expect(bytes, view)
    } else if (this.#isRefusing()) {
      this.retransmissions.expect(view)
    }
  }

  fetch(): void {
    this.limits.fetch()
    this.dns.fetch()
    this.retransmissions.ahead.fetch()
  }

  /**
   * Whether `expect` is worth while: it is not while the buckets in use are few enough to stay in the cache, and
   * no refused SYN is looked for among a megabyte of others.
   */
  get readsAhead(): boolean {
    return this.counters.sources[0]! > FEW_BUCKETS || this.#isRefusing()
  }

  /** In a flood that is refused, the next SYN will hardly fare better than the last. */
  #isRefusing(): boolean {
    return REFUSES[this.reason] === 1 && this.view.protocol === TCP
  }

  /** How many offenders the ring has received since the last call. */
  takePromoted(): number {
    const promoted = this.#promoted
    this.#promoted = 0
    return promoted
  }

  /**
   * A refusal by the source's own limit is a strike. None is: a retransmission, which is the same attempt;
   * a refusal by network or total, which strikes the neighbours of the guilty; UDP, whose address may be
   * forged; and a refusal of a source known good. SYNs may be forged too, and of that source sessions prove
   * the address all day: a flood in its name would have it banned. It is banned for failed logins.
   */
  #punish(service: number, reason: Reason, nowMs: number): Reason {
    if (service === NONE) return reason
    this.holds.refused(this.view, service, this.limits.refusedKind, this.policy, nowMs)
    if (this.view.protocol !== TCP) return reason
    if (this.retransmissions.seen(this.view, nowMs)) return Reason.retransmission
    if (reason === Reason.sourceLimit) this.#strike(service, this.limits.refusedSlot, nowMs)
    return reason
  }

  #strike(service: number, slot: number, nowMs: number): void {
    this.counters.strikes[service]!++
    const needed = this.policy.strikes[service]!
    const strikes = this.sources.strike(slot, nowMs, this.policy.strikeWindowSeconds[service]!)
    if (needed === 0 || strikes < needed) return
    this.sources.clearStrikes(slot)
    if (this.promotions.push(this.view, service, strikes, nowMs)) {
      this.counters.promotions[service]!++
      this.#promoted++
    } else {
      this.counters.promotionsLost[0]!++
    }
  }

  #isDns(service: number): boolean {
    return this.view.protocol !== TCP && this.policy.isDns[service] === 1
  }

  #settle(bytes: Uint8Array, service: number, reason: Reason, nowMs: number): Verdict {
    this.reason = reason
    this.slip = false
    let verdict: Verdict = ACCEPT
    if (REFUSES[reason] === 1) verdict = this.policy.isShadow[service] === 1 ? SHADOW : DROP
    if (verdict !== DROP) {
      if (this.policy.isJudged[service] === 1) this.timestamps.note(this.view, bytes)
    } else if (this.#isDns(service) && this.dns.slips(bytes, this.view, this.policy, nowMs)) {
      this.slip = true
      // One that finds no room is not proven when it comes back: the next one is.
      this.slipped.push(this.view, service, 0, nowMs)
    }
    this.counters.decisions[decisionIndex(service, verdict, reason)]!++
    return verdict
  }
}
