import { setFlagsFromString } from 'node:v8'
import type { Mode, Policy, Service } from '../config/policy.ts'
import { AllowList } from '../control/allow/allow-list.ts'
import { Bans } from '../control/bans/bans.ts'
import { ALL_PORTS } from '../control/bans/escalation.ts'
import { MemoryBanSets } from '../control/bans/memory-ban-sets.ts'
import { judgePromotions, judgeProven, type PromotionState } from '../control/bans/promotions.ts'
import { Suspects } from '../control/bans/suspects.ts'
import { Evidence } from '../control/evidence/evidence.ts'
import { judgeSessions, type SessionState } from '../control/evidence/judge-sessions.ts'
import { estimateTries, judgeSession } from '../control/evidence/outcome.ts'
import { Trust } from '../control/evidence/trust.ts'
import { Proofs } from '../control/sessions/proofs.ts'
import type { Session } from '../control/sessions/session.ts'
import { banSetName } from '../firewall/names.ts'
import { type Family, parsePrefix, SOURCE_BITS, widen } from '../net/prefix.ts'
import { PrefixTable } from '../net/prefix-table.ts'
import { classify } from '../path/classify.ts'
import { compilePolicy } from '../path/compile.ts'
import { KnownGood } from '../path/known-good.ts'
import { Pipeline } from '../path/pipeline.ts'
import { Reason, Verdict } from '../path/reasons.ts'
import { NO_SERVICE, ServiceSlots } from '../path/service-slots.ts'
import { createSharedState } from '../path/shared.ts'
import { SourceRing } from '../path/source-ring.ts'
import type { Attempt } from './attempt.ts'
import type { Flow } from './flows/flow-tracker.ts'
import { Handshakes } from './handshakes.ts'
import type { Moment } from './moment.ts'
import { type BanCause, LastJudgement, type Observer } from './observer.ts'
import { ALLOW_LISTED, BANNED } from './replay-reason.ts'

// A daemon compiles its path once, into large functions; a replay is over soon, and compiles anew after each branch that
// was not met before. V8's own measure: with half of it 8 million packets took a fifth longer; with twice as much they took
// a tenth less, but 3 million, of more kinds, a third more CPU time.
setFlagsFromString('--max-inlined-bytecode-size=460')
setFlagsFromString('--max-inlined-bytecode-size-cumulative=920')

// The heap may be filled with a third more than is in use before V8 looks for what is not, instead of twice or four times as
// much: a million sessions from half a million sources took 239 MB instead of 328, in the same CPU time.
setFlagsFromString('--heap-growing-percent=30')

// Constants of this module cost compiled code nothing; an import is looked up each time.
const TCP = 6
const NONE = NO_SERVICE
const { accept: ACCEPT, drop: DROP } = Verdict
const BY_ALLOW_LIST = ALLOW_LISTED
const BY_BAN = BANNED

/** Any three numbers: they decide where a bucket lies in its table, and a replay must repeat itself. */
const SEED = Uint32Array.of(0x736c7569, 0x63652072, 0x65706c61)

/** What the daemon never limits on any host; its own addresses, gateways and resolvers a capture does not tell. */
const LOOPBACK = ['127.0.0.0/8', '::1'].map(parsePrefix)

/**
 * A host under `policy` in which time is what a capture says: the path, the promotions and the bans of the
 * daemon itself, and what the kernel's rules do around them, in the same order. Nothing in it is random
 * but what the daemon adds to ban times: here, bans have their shortest time.
 *
 * The total limits hold as for one path thread, whatever `policy.threads` says.
 */
export class Engine {
  declare readonly policy: Policy
  declare readonly pipeline: Pipeline
  declare private readonly observers: readonly Observer[]
  declare private readonly allowed: PrefixTable<true>
  declare private readonly banSets: MemoryBanSets
  /** By service and family: the sets that ban from it. */
  declare private readonly banSetNames: readonly Readonly<Record<Family, readonly [string, string]>>[]
  declare private readonly handshakes: Handshakes
  /** The last one; filled anew for each. */
  declare private readonly judgement: LastJudgement
  readonly #slots = new ServiceSlots()
  readonly #known: KnownGood
  readonly #promotionState: PromotionState
  readonly #sessionState: SessionState
  /** The session that is being judged. */
  #ending: BanCause | undefined
  #hasBans = false
  #nowMs = 0

  constructor(policy: Policy, observers: readonly Observer[]) {
    this.policy = policy
    this.observers = observers
    const shared = createSharedState(policy.sources, KnownGood.create(SEED), SEED)
    this.#known = new KnownGood(shared.known)
    this.pipeline = new Pipeline(compilePolicy({ ...policy, threads: 1 }, this.#slots), shared)
    this.allowed = new PrefixTable()
    for (const prefix of [...LOOPBACK, ...policy.allow]) this.allowed.set(prefix, true)
    this.handshakes = new Handshakes()
    this.judgement = new LastJudgement(policy.services)
    this.banSets = this.#createSets()
    this.banSetNames = policy.services.map(({ name }) => ({
      4: [banSetName(ALL_PORTS, 4), banSetName(name, 4)],
      6: [banSetName(ALL_PORTS, 6), banSetName(name, 6)],
    }))
    this.#promotionState = this.#createPromotionState(new SourceRing(shared.promotions))
    // There is no server to ask: the numbers of the policy hold.
    const servers = { judgingOf: ({ outcome }: Service) => ({ model: outcome, why: '' }) }
    this.#sessionState = { ...this.#promotionState, servers }
  }

  /**
   * Decides an inbound SYN or datagram, and tells the observers unless no service is meant.
   *
   * @returns whether it passes
   */
  offer(attempt: Attempt): boolean {
    const { view, bytes } = attempt
    const slot = classify(view, this.pipeline.policy)
    if (slot === NONE) return false
    this.#nowMs = attempt.nowMs
    if (this.allowed.some(view.family, bytes, attempt.sourceAt)) {
      this.#tell(attempt, slot, ACCEPT, BY_ALLOW_LIST)
      return true
    }
    if (this.#hasBans && this.#isBanned(view.family, bytes, attempt.sourceAt, slot)) {
      this.#tell(attempt, slot, DROP, BY_BAN)
      return false
    }
    if (view.protocol === TCP && this.handshakes.isAnswered(attempt)) return true
    return this.#judge(attempt, slot)
  }

  /** Decides an inbound datagram from port 53 that goes to no service, and along no flow that this host has begun. */
  offerAnswer(attempt: Attempt): void {
    const { view, bytes, sourceAt, offset, length, nowMs } = attempt
    if (this.policy.dns.unsolicited === undefined) return
    if (this.allowed.some(view.family, bytes, sourceAt)) return
    this.#nowMs = nowMs
    const verdict = this.pipeline.judge(bytes, offset, Math.min(length, this.policy.queue.copyBytes), nowMs)
    if (this.pipeline.reason !== Reason.unsolicitedAnswer) return
    for (const observer of this.observers) observer.unsolicited?.(attempt, verdict)
  }

  /** Takes note of an outbound SYN-ACK. */
  answer(attempt: Attempt): void {
    this.handshakes.answer(attempt)
  }

  /** Takes note that the client of a connection has shown that its address is its own. */
  assured({ address, lastMs }: Flow): void {
    const source = widen(address, SOURCE_BITS[address.family])
    const suspect = this.#promotionState.suspects.of(source)[0]
    // A ban that was waiting for this is told as earned by the attempt before.
    this.#nowMs = Math.max(this.#nowMs, lastMs)
    const slot = this.policy.services.findIndex(({ name }) => name === suspect?.service)
    if (slot >= 0) this.judgement.slot = slot
    judgeProven(this.#promotionState, [source])
  }

  /** How often somebody offended whose address the capture does not prove. */
  get unproven(): number {
    return this.policy.services.reduce((sum, { name }) => sum + this.#promotionState.suspects.count(name), 0)
  }

  /** Takes note of a session that goes on, if it has succeeded already. @param bit ours in `flow` @returns whether it has */
  goesOn(flow: Flow, bit: number, nowMs: number): boolean {
    this.#nowMs = Math.max(this.#nowMs, nowMs)
    const seen = this.#sessionOf(flow, bit)
    if (seen === undefined || judgeSession(seen.session, seen.model) !== 'succeeded') return false
    judgeSessions(this.#sessionState, [seen.session])
    return true
  }

  /** Judges a session that is known to be over at `knownMs`, and bans whom it makes an offender. @param bit ours in `flow` */
  closed(flow: Flow, bit: number, end: Moment, knownMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, knownMs)
    const seen = this.#sessionOf(flow, bit)
    if (seen === undefined) return
    const { session, model, service, slot } = seen
    const outcome = judgeSession(session, model)
    const tries = outcome === 'failed' ? (estimateTries(session, model) ?? 0) : 0
    for (const observer of this.observers) observer.ended?.({ session, outcome, tries, end })
    this.#ending = { service, slot, at: end }
    judgeSessions(this.#sessionState, [session])
    this.#ending = undefined
  }

  /** What `flow` is to a service that asks how logins went. What a ban has cut off is no session. */
  #sessionOf(flow: Flow, bit: number) {
    const { address, serverPort, startMs, lastMs, hasTimestamps, toServer, toClient } = flow
    const slot = this.pipeline.policy.tcpPorts[serverPort]!
    const service = this.policy.services[slot]
    if (service?.outcome === undefined) return undefined
    const { family, bytes } = address
    if (this.#hasBans && this.#isBanned(family, bytes, 0, slot)) return undefined
    const source = widen(address, SOURCE_BITS[family])
    const durationMs = lastMs - startMs
    const counted = { durationMs, hasTimestamps, toServer, toClient }
    const isKnown = (flow.succeededBy & bit) !== 0
    const session: Session = { source, address, service: service.name, ...counted, isKnown }
    return { session, model: service.outcome, service, slot }
  }

  #judge(attempt: Attempt, slot: number): boolean {
    const { view, bytes, offset, length } = attempt
    const { pipeline } = this
    const most = this.policy.queue.copyBytes
    const verdict = pipeline.judge(bytes, offset, length < most ? length : most, attempt.nowMs)
    if (view.protocol === TCP && verdict !== DROP) this.handshakes.accept(attempt)
    this.#tell(attempt, slot, verdict, pipeline.reason)
    if (pipeline.takePromoted() > 0) judgePromotions(this.#promotionState)
    return verdict !== DROP
  }

  /** @param reason its place in `REPLAY_REASONS` */
  #tell(attempt: Attempt, slot: number, verdict: Verdict, reason: number): void {
    const { judgement, observers } = this
    judgement.attempt = attempt
    judgement.slot = slot
    judgement.verdictNumber = verdict
    judgement.reasonNumber = reason
    for (let i = 0; i < observers.length; i++) observers[i]!.judged(judgement)
  }

  #cause(): BanCause {
    if (this.#ending !== undefined) return this.#ending
    const { service, slot, attempt } = this.judgement
    return { service, slot, at: attempt }
  }

  #isBanned(family: Family, bytes: Uint8Array, at: number, slot: number): boolean {
    const [ofAllPorts, ofService] = this.banSetNames[slot]![family]
    return (
      this.banSets.matches(ofAllPorts, family, bytes, at) ||
      this.banSets.matches(ofService, family, bytes, at)
    )
  }

  #createSets(): MemoryBanSets {
    return new MemoryBanSets(this.policy.ban.maxEntries, () => this.#nowMs)
  }

  #createPromotionState(ring: SourceRing): PromotionState {
    const allow = new AllowList()
    const entries = [...LOOPBACK, ...this.policy.allow]
    allow.set(
      'policy',
      entries.map((prefix) => ({ prefix, origin: 'policy', reason: 'allow list' })),
    )
    return {
      policy: this.policy,
      slots: this.#slots,
      allow,
      log: SILENT,
      threads: { drainPromotions: () => ring.drain() },
      proofs: new Proofs(this.policy.ban.proofWindowMs, () => this.#nowMs),
      evidence: this.#createEvidence(),
      suspects: new Suspects(() => this.#nowMs),
      enforced: this.#createBans('enforce', this.banSets),
      watched: this.#createBans('shadow', this.#createSets()),
    }
  }

  #createEvidence(): Evidence {
    const { trust: policy } = this.policy
    const now = () => this.#nowMs
    const slotOf = (service: string) => this.#slots.slotOf(service)
    const trust = policy && new Trust({ policy, known: this.#known, slotOf, now })
    return new Evidence({ trust, log: SILENT, now })
  }

  #createBans(mode: Mode, sets: MemoryBanSets): Bans {
    return new Bans({
      mode,
      sets,
      policy: this.policy.ban,
      log: SILENT,
      onBanned: (bans) => {
        if (mode === 'enforce') this.#hasBans = true
        const cause = this.#cause()
        for (const ban of bans) {
          for (const observer of this.observers) observer.banned?.(ban, mode, cause)
        }
      },
      now: () => this.#nowMs,
      random: () => 0,
    })
  }
}

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }
