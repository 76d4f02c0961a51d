import type { Mode, Policy, Service } from '../config/policy.ts'
import { AllowList } from '../control/allow-list.ts'
import type { Ban } from '../control/ban.ts'
import { Bans } from '../control/bans.ts'
import { ALL_PORTS } from '../control/escalation.ts'
import { Evidence } from '../control/evidence.ts'
import { judgeSessions, type SessionState } from '../control/judge-sessions.ts'
import { MemoryBanSets } from '../control/memory-ban-sets.ts'
import { estimateTries, judgeSession, type Outcome as SessionOutcome } from '../control/outcome.ts'
import { judgePromotions, judgeProven, type PromotionState } from '../control/promotions.ts'
import { Proofs } from '../control/proofs.ts'
import type { Session } from '../control/session.ts'
import { Suspects } from '../control/suspects.ts'
import { Trust } from '../control/trust.ts'
import { banSetName } from '../firewall/names.ts'
import { type Family, parsePrefix, widen } from '../net/prefix.ts'
import { PrefixTable } from '../net/prefix-table.ts'
import { classify } from '../path/classify.ts'
import { compilePolicy } from '../path/compile.ts'
import type { PacketView } from '../path/decode.ts'
import { KnownGood } from '../path/known-good.ts'
import { Pipeline } from '../path/pipeline.ts'
import { REASONS, type ReasonName, VERDICTS, Verdict, type VerdictName } from '../path/reasons.ts'
import { NO_SERVICE, ServiceSlots } from '../path/service-slots.ts'
import { createSharedState } from '../path/shared.ts'
import { SourceRing } from '../path/source-ring.ts'
import type { Attempt } from './attempt.ts'
import type { Flow } from './flows/flow-tracker.ts'
import { Handshakes } from './handshakes.ts'
import type { Moment } from './moment.ts'

const TCP = 6

/** Any three numbers: they decide where a bucket lies in its table, and a replay must repeat itself. */
const SEED = Uint32Array.of(0x736c7569, 0x63652072, 0x65706c61)

/** What the daemon never limits on any host; its own addresses, gateways and resolvers a capture does not tell. */
const LOOPBACK = ['127.0.0.0/8', '::1'].map(parsePrefix)

/** Why an attempt was decided as it was: the path's reasons, and the two that the kernel's sets decide. */
export type ReplayReason = ReasonName | 'allow-list' | 'banned'

/** What became of an attempt, which is good for the time of the call only. */
export interface Judgement {
  readonly attempt: Attempt
  readonly service: Service
  /** The place of the service in the policy. */
  readonly slot: number
  readonly verdict: VerdictName
  readonly reason: ReplayReason
}

/** What a ban was given for: an attempt, or a session that is over. */
export interface BanCause {
  readonly service: Service
  /** The place of the service in the policy. */
  readonly slot: number
  readonly at: Moment
}

/** A session that is over. */
export interface Ending {
  readonly session: Session
  readonly outcome: SessionOutcome
  /** About how many logins it has tried, if it has failed and that can be told; else 0. */
  readonly tries: number
  /** When its last packet came. */
  readonly end: Moment
}

/** Is told everything that an engine decides, in order. */
export interface Observer {
  judged(judgement: Judgement): void
  /** A ban; its times are those of `Attempt.nowMs`. */
  banned?(ban: Ban, mode: Mode, cause: BanCause): void
  ended?(ending: Ending): void
}

/**
 * A host under `policy` in which time is what a capture says: the path, the promotions and the bans of the
 * daemon itself, and what the kernel's rules do around them, in the same order. Nothing in it is random
 * but what the daemon adds to ban times: here, bans have their shortest time.
 *
 * The total limits hold as for one path thread, whatever `policy.threads` says.
 */
export class Engine {
  readonly policy: Policy
  readonly pipeline: Pipeline
  readonly #observers: readonly Observer[]
  readonly #slots = new ServiceSlots()
  readonly #allowed = new PrefixTable<true>()
  readonly #banSets: MemoryBanSets
  readonly #handshakes = new Handshakes()
  readonly #known: KnownGood
  readonly #promotionState: PromotionState
  readonly #sessionState: SessionState
  #judgement: Judgement | undefined
  /** The session that is being judged. */
  #ending: BanCause | undefined
  #hasBans = false
  #nowMs = 0

  constructor(policy: Policy, observers: readonly Observer[]) {
    this.policy = policy
    this.#observers = observers
    const shared = createSharedState(policy.sources, KnownGood.create(SEED), SEED)
    this.#known = new KnownGood(shared.known)
    this.pipeline = new Pipeline(compilePolicy({ ...policy, threads: 1 }, this.#slots), shared)
    for (const prefix of [...LOOPBACK, ...policy.allow]) this.#allowed.set(prefix, true)
    this.#banSets = this.#createSets()
    this.#promotionState = this.#createPromotionState(new SourceRing(shared.promotions))
    // There is no server to ask: the numbers of the policy hold.
    const servers = { judgingOf: ({ outcome }: Service) => ({ model: outcome, why: '' }) }
    this.#sessionState = { ...this.#promotionState, servers }
  }

  /** Whether a SYN or datagram like this one goes to a service. */
  serves(view: PacketView): boolean {
    return classify(view, this.pipeline.policy) !== NO_SERVICE
  }

  /**
   * Decides an inbound SYN or datagram, and tells the observers unless no service is meant.
   *
   * @returns whether it passes
   */
  offer(attempt: Attempt): boolean {
    const { view, bytes } = attempt
    const slot = classify(view, this.pipeline.policy)
    if (slot === NO_SERVICE) return false
    this.#nowMs = attempt.nowMs
    const service = this.policy.services[slot]!
    if (this.#allowed.some(view.family, bytes, attempt.sourceAt)) {
      this.#tell({ attempt, service, slot, verdict: 'accept', reason: 'allow-list' })
      return true
    }
    if (this.#isBanned(view.family, bytes, attempt.sourceAt, service)) {
      this.#tell({ attempt, service, slot, verdict: 'drop', reason: 'banned' })
      return false
    }
    if (view.protocol === TCP && this.#handshakes.isAnswered(attempt)) return true
    return this.#judge(attempt, service, slot)
  }

  /** Takes note of an outbound SYN-ACK. */
  answer(attempt: Attempt): void {
    this.#handshakes.answer(attempt)
  }

  /** Takes note that the client of a connection has shown that its address is its own. */
  assured({ address, lastMs }: Flow): void {
    const source = address.family === 4 ? address : widen(address, 64)
    const suspect = this.#promotionState.suspects.of(source)[0]
    // A ban that was waiting for this is told as earned by the attempt before.
    this.#nowMs = Math.max(this.#nowMs, lastMs)
    const slot = this.policy.services.findIndex(({ name }) => name === suspect?.service)
    if (this.#judgement !== undefined && slot >= 0) {
      this.#judgement = { ...this.#judgement, service: this.policy.services[slot]!, slot }
    }
    judgeProven(this.#promotionState, [source])
  }

  /** How often somebody offended whose address the capture does not prove. */
  get unproven(): number {
    return this.policy.services.reduce((sum, { name }) => sum + this.#promotionState.suspects.count(name), 0)
  }

  /** Takes note of a session that goes on, if it has succeeded already. @returns whether it has */
  goesOn(flow: Flow, nowMs: number): boolean {
    this.#nowMs = Math.max(this.#nowMs, nowMs)
    const seen = this.#sessionOf(flow)
    if (seen === undefined || judgeSession(seen.session, seen.model) !== 'succeeded') return false
    judgeSessions(this.#sessionState, [seen.session])
    return true
  }

  /** Judges a session that is known to be over at `knownMs`, and bans whom it makes an offender. */
  closed(flow: Flow, end: Moment, knownMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, knownMs)
    const seen = this.#sessionOf(flow)
    if (seen === undefined) return
    const { session, model, service, slot } = seen
    const outcome = judgeSession(session, model)
    const tries = outcome === 'failed' ? (estimateTries(session, model) ?? 0) : 0
    for (const observer of this.#observers) observer.ended?.({ session, outcome, tries, end })
    this.#ending = { service, slot, at: end }
    judgeSessions(this.#sessionState, [session])
    this.#ending = undefined
  }

  /** What `flow` is to a service that asks how logins went. What a ban has cut off is no session. */
  #sessionOf({ address, serverPort, startMs, lastMs, toServer, toClient }: Flow) {
    const slot = this.pipeline.policy.tcpPorts[serverPort]!
    const service = this.policy.services[slot]
    if (service?.outcome === undefined) return undefined
    const { family, bytes } = address
    if (this.#isBanned(family, bytes, 0, service)) return undefined
    const source = family === 4 ? address : widen(address, 64)
    const durationMs = lastMs - startMs
    const session: Session = { source, address, service: service.name, durationMs, toServer, toClient }
    return { session, model: service.outcome, service, slot }
  }

  #judge(attempt: Attempt, service: Service, slot: number): boolean {
    const { view, bytes, offset, length } = attempt
    const seen = Math.min(length, this.policy.queue.copyBytes)
    const verdict = this.pipeline.judge(bytes, offset, seen, attempt.nowMs)
    if (view.protocol === TCP && verdict !== Verdict.drop) this.#handshakes.accept(attempt)
    const reason = REASONS[this.pipeline.reason]!.name
    this.#tell({ attempt, service, slot, verdict: VERDICTS[verdict]!, reason })
    if (this.pipeline.takePromoted() > 0) judgePromotions(this.#promotionState)
    return verdict !== Verdict.drop
  }

  #tell(judgement: Judgement): void {
    this.#judgement = judgement
    for (const observer of this.#observers) observer.judged(judgement)
  }

  #cause(): BanCause {
    if (this.#ending !== undefined) return this.#ending
    const { service, slot, attempt } = this.#judgement!
    return { service, slot, at: attempt }
  }

  #isBanned(family: Family, bytes: Uint8Array, at: number, service: Service): boolean {
    if (!this.#hasBans) return false
    return [ALL_PORTS, service.name].some((scope) =>
      this.#banSets.matches(banSetName(scope, family), family, bytes, at),
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
      enforced: this.#createBans('enforce', this.#banSets),
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
          for (const observer of this.#observers) observer.banned?.(ban, mode, cause)
        }
      },
      now: () => this.#nowMs,
      random: () => 0,
    })
  }
}

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }
