import type { Mode, Policy, Service } from '../config/policy.ts'
import type { Ban } from '../control/ban.ts'
import { ALL_PORTS } from '../control/escalation.ts'
import { formatPrefix } from '../net/prefix.ts'
import { BucketRecord } from './bucket-record.ts'
import { BucketRecords } from './bucket-records.ts'
import type { BanCause, Ending, Judgement, Observer, ReplayReason } from './engine.ts'
import type { Moment } from './moment.ts'
import { type SessionCounts, SessionRecords } from './session-records.ts'

/** Of each kind of record. */
const MOST_RECORDS = 65_536

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
  readonly policy: Policy
  readonly services = new Map<string, ServiceTotals>()
  readonly sources: BucketRecords
  readonly networks: BucketRecords
  readonly sessions: SessionRecords
  /** By service: the bucket of all strangers. */
  readonly totals = new Map<string, BucketRecord>()
  /** In the order of time. */
  readonly bans: BanRecord[] = []
  /** Bans that did not fit into `bans`. */
  bansLeftOut = 0
  readonly #lastBans = new Map<string, BanRecord>()
  readonly #mostBans: number

  /** @param most records of sources, of networks and of bans */
  constructor(policy: Policy, most = MOST_RECORDS) {
    this.policy = policy
    this.sources = new BucketRecords('source', policy.services, most)
    this.networks = new BucketRecords('network', policy.services, most)
    this.sessions = new SessionRecords(most)
    this.#mostBans = most
    for (const { name } of policy.services) {
      this.services.set(name, {
        attempts: 0,
        accepted: 0,
        refused: 0,
        banned: 0,
        allowed: 0,
        reasons: new Map(),
        sessions: { failed: 0, succeeded: 0, unclear: 0 },
      })
    }
  }

  judged(judgement: Judgement): void {
    const { service, reason, attempt } = judgement
    const { timeMs, elapsedMs } = attempt
    const totals = this.services.get(service.name)!
    count(totals, judgement)
    if (reason === 'allow-list') return
    this.sources.add(judgement)
    if (reason === 'banned') this.#countDropped(this.sources.find(judgement), service.name)
    if (service.limits.network !== undefined) this.networks.add(judgement)
    if (service.limits.total !== undefined) this.#totalOf(service).add({ reason, timeMs, elapsedMs })
  }

  ended({ session, outcome, tries, end }: Ending): void {
    this.services.get(session.service)!.sessions[outcome]++
    this.sessions.add(session, outcome, tries, end)
  }

  banned(ban: Ban, mode: Mode, { service, at }: BanCause): void {
    if (this.bans.length >= this.#mostBans) {
      this.bansLeftOut++
      return
    }
    const source = formatPrefix(ban.prefix)
    const record: BanRecord = {
      source,
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
    this.#lastBans.set(`${source} ${ban.scope}`, record)
  }

  /** Of two bans that may have dropped the attempt, the later one has: the source was free to earn it. */
  #countDropped({ who }: BucketRecord, service: string): void {
    const ofService = this.#lastBans.get(`${who} ${service}`)
    const ofAllPorts = this.#lastBans.get(`${who} ${ALL_PORTS}`)
    const isLater = (ofService?.start.elapsedMs ?? -1) > (ofAllPorts?.start.elapsedMs ?? -1)
    const ban = isLater ? ofService : ofAllPorts
    if (ban !== undefined) ban.dropped++
  }

  #totalOf(service: Service): BucketRecord {
    const known = this.totals.get(service.name) ?? new BucketRecord('total', service, 4, 0, 0)
    this.totals.set(service.name, known)
    return known
  }
}

function count(totals: ServiceTotals, { verdict, reason }: Judgement): void {
  totals.attempts++
  totals.reasons.set(reason, (totals.reasons.get(reason) ?? 0) + 1)
  if (reason === 'allow-list') totals.allowed++
  else if (reason === 'banned') totals.banned++
  else if (verdict === 'accept') totals.accepted++
  else totals.refused++
}
