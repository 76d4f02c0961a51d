import type { Mode, Policy } from '../config/policy.ts'
import type { Ban } from '../control/bans/ban.ts'
import { ALL_PORTS } from '../control/bans/escalation.ts'
import { formatPrefix, SOURCE_BITS } from '../net/prefix.ts'
import type { PacketView } from '../path/decode.ts'
import { NO_SERVICE } from '../path/service-slots.ts'
import { sourceKey } from '../path/source-ring.ts'
import { BucketIndex } from './bucket-index.ts'
import { BucketRecord } from './bucket-record.ts'
import { BucketRecords, tagOf } from './bucket-records.ts'
import { BucketRows } from './bucket-rows.ts'
import type { Moment } from './moment.ts'
import type { BanCause, Ending, Judgement, Observer } from './observer.ts'
import { ALLOW_LISTED, BANNED, REPLAY_REASONS, type ReplayReason } from './replay-reason.ts'
import { type SessionCounts, SessionRecords } from './session-records.ts'

/** Of each kind of record. */
const MOST_RECORDS = 65_536

// Constants of this module cost compiled code nothing; an import is looked up each time.
const BY_ALLOW_LIST = ALLOW_LISTED
const BY_BAN = BANNED
const REASONS = REPLAY_REASONS.length
/** Stands for all ports in a key; no service has it. */
const ANY_SERVICE = NO_SERVICE

/** Attempts at one service, by what became of them. */
export interface ServiceTotals {
  attempts: number
  accepted: number
  /** By the limits; in shadow mode these passed. */
  refused: number
  /** Dropped by bans. */
  banned: number
  /** Accepted because of the allow list. */
  allowed: number
  readonly reasons: Map<ReplayReason, number>
  readonly sessions: SessionCounts
}

/** A ban that was given. */
export interface BanRecord {
  readonly source: string
  /** The service whose limit was broken. */
  readonly service: string
  /** The service whose ports it covers, or `all`. */
  readonly scope: string
  /** `shadow`: it would have been given, and dropped nothing. */
  readonly mode: Mode
  readonly start: Moment
  readonly seconds: number
  readonly offence: number | undefined
  readonly reason: string
  /** Attempts that it dropped. */
  dropped: number
}

/** Remembers what an engine decided, in bounded memory: totals, and a record of each bucket. */
export class Outcome implements Observer {
  declare readonly policy: Policy
  declare readonly sources: BucketRecords
  declare readonly networks: BucketRecords
  declare readonly sessions: SessionRecords
  /** In the order of time. */
  readonly bans: BanRecord[] = []
  /** Answers to questions that nobody here has asked. */
  unsolicitedAnswers = 0
  /** Bans that did not fit into `bans`. */
  bansLeftOut = 0
  /** By service, by whether it was accepted, and by reason. */
  declare private readonly counts: Float64Array
  /** By service: the bucket of all strangers. */
  declare private readonly totals: BucketRows
  /** By service. */
  declare private readonly hasNetworkLimit: Uint8Array
  declare private readonly hasTotalLimit: Uint8Array
  readonly #sessionCounts: SessionCounts[]
  /** The last ban of each source and scope. */
  #bannedSources: BucketIndex | undefined
  readonly #lastBans: BanRecord[] = []
  readonly #mostBans: number

  /** @param most records of sources, of networks and of bans */
  constructor(policy: Policy, most = MOST_RECORDS) {
    const { services } = policy
    this.policy = policy
    this.sources = new BucketRecords('source', services, most)
    this.networks = new BucketRecords('network', services, most)
    this.sessions = new SessionRecords(most)
    this.#mostBans = most
    this.counts = new Float64Array(services.length * 2 * REASONS)
    this.totals = new BucketRows('total', services, services.length)
    this.hasNetworkLimit = Uint8Array.from(services, ({ limits }) => (limits.network === undefined ? 0 : 1))
    this.hasTotalLimit = Uint8Array.from(services, ({ limits }) => (limits.total === undefined ? 0 : 1))
    this.#sessionCounts = services.map(() => ({ failed: 0, succeeded: 0, unclear: 0 }))
  }

  judged(judgement: Judgement): void {
    const { slot, verdict, reasonNumber, attempt } = judgement
    this.counts[(2 * slot + (verdict === 'accept' ? 1 : 0)) * REASONS + reasonNumber]!++
    if (reasonNumber === BY_ALLOW_LIST) return
    this.sources.add(judgement)
    if (reasonNumber === BY_BAN) this.#countDropped(attempt.view, slot)
    if (this.hasNetworkLimit[slot] === 1) this.networks.add(judgement)
    if (this.hasTotalLimit[slot] === 1) this.totals.add(slot, slot, reasonNumber, attempt)
  }

  unsolicited(): void {
    this.unsolicitedAnswers++
  }

  ended({ session, outcome, tries, end }: Ending): void {
    this.#sessionCounts[this.#slotOf(session.service)]![outcome]++
    this.sessions.add(session, outcome, tries, end)
  }

  banned(ban: Ban, mode: Mode, { service, at }: BanCause): void {
    if (this.bans.length >= this.#mostBans) {
      this.bansLeftOut++
      return
    }
    const record: BanRecord = {
      source: formatPrefix(ban.prefix),
      service: service.name,
      scope: ban.scope,
      mode,
      start: { timeMs: at.timeMs, elapsedMs: at.elapsedMs },
      seconds: (ban.endMs - ban.startMs) / 1000,
      offence: ban.offence,
      reason: ban.reason,
      dropped: 0,
    }
    this.bans.push(record)
    this.#rememberLast(ban, record)
  }

  /** What became of the attempts at the service in that place of the policy. */
  totalsOf(slot: number): ServiceTotals {
    const totals = {
      ...{ attempts: 0, accepted: 0, refused: 0, banned: 0, allowed: 0 },
      reasons: new Map<ReplayReason, number>(),
      sessions: this.#sessionCounts[slot]!,
    }
    for (const [number, reason] of REPLAY_REASONS.entries()) {
      const refused = this.counts[2 * slot * REASONS + number]!
      const accepted = this.counts[(2 * slot + 1) * REASONS + number]!
      const all = refused + accepted
      if (all === 0) continue
      totals.attempts += all
      totals.reasons.set(reason, all)
      if (reason === 'allow-list') totals.allowed += all
      else if (reason === 'banned') totals.banned += all
      else {
        totals.accepted += accepted
        totals.refused += refused
      }
    }
    return totals
  }

  /** The buckets of all strangers that saw any attempt. */
  totalRecords(): BucketRecord[] {
    return this.policy.services.flatMap((service, slot) => {
      const counts = this.totals.read(slot)
      return counts.attempts === 0 ? [] : [new BucketRecord('total', service, 4, 0, 0, counts)]
    })
  }

  /** A ban of a network drops what is recorded of its sources, and is none of theirs. */
  #rememberLast({ prefix, scope }: Ban, record: BanRecord): void {
    if (prefix.length !== SOURCE_BITS[prefix.family]) return
    this.#bannedSources ??= new BucketIndex(this.#mostBans)
    const { high, low } = sourceKey(prefix)
    const tag = tagOf(scope === ALL_PORTS ? ANY_SERVICE : this.#slotOf(scope), prefix.family)
    const known = this.#bannedSources.find(high, low, tag)
    this.#lastBans[known < 0 ? this.#bannedSources.insert(high, low, tag) : known] = record
  }

  /** Of two bans that may have dropped the attempt, the later one has: the source was free to earn it. */
  #countDropped(view: PacketView, slot: number): void {
    const ofService = this.#lastBan(view, slot)
    const ofAllPorts = this.#lastBan(view, ANY_SERVICE)
    const isLater = (ofService?.start.elapsedMs ?? -1) > (ofAllPorts?.start.elapsedMs ?? -1)
    const ban = isLater ? ofService : ofAllPorts
    if (ban !== undefined) ban.dropped++
  }

  #lastBan({ family, sourceHigh, sourceLow }: PacketView, slot: number): BanRecord | undefined {
    const row = this.#bannedSources?.find(sourceHigh, sourceLow, tagOf(slot, family)) ?? -1
    return row < 0 ? undefined : this.#lastBans[row]
  }

  #slotOf(name: string): number {
    return this.policy.services.findIndex((service) => service.name === name)
  }
}
