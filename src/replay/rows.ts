import type { Mode, Policy } from '../config/policy.ts'
import { modeOf } from '../control/state.ts'
import type { LimitKind } from '../path/compile.ts'
import type { BucketRecord } from './bucket-record.ts'
import { isoTime } from './iso-time.ts'
import type { Moment } from './moment.ts'
import type { Outcome } from './outcome.ts'
import type { ReplayReason } from './replay-reason.ts'
import type { SessionCounts } from './session-records.ts'

/** A bucket is close to empty from this share of its burst on. */
const CLOSE = 0.8

/** When, by the capture's clock (ISO 8601, UTC), and how long after its first packet. */
export interface At {
  readonly at: string
  readonly afterSeconds: number
}

/** What became of the attempts at one service. */
export interface ServiceRow {
  readonly service: string
  readonly mode: Mode
  readonly attempts: number
  readonly accepted: number
  /** In shadow mode, attempts that would have been. Repeats of refused SYNs are among them. */
  readonly refused: number
  /** Dropped by bans. */
  readonly banned: number
  readonly allowed: number
  readonly reasons: Readonly<Record<string, number>>
  /** Connections that were let through and are over, by how the login went. All 0 where the policy does not ask. */
  readonly sessions: Readonly<SessionCounts>
}

/** What a source's sessions with a service came to. */
export interface SourceSessions extends Readonly<SessionCounts> {
  readonly source: string
  readonly service: string
  /** About how many logins the failed ones have tried, where that can be told. */
  readonly tries: number
  /** When the first one and the last one ended. */
  readonly first: At
  readonly last: At
}

/** A bucket that was asked for more than it had, or for nearly as much. */
export interface BucketRow {
  /** A source, a network, or `*` for all strangers together. */
  readonly who: string
  readonly service: string
  readonly mode: Mode
  readonly limit: LimitKind
  readonly attempts: number
  readonly accepted: number
  /** By this bucket. */
  readonly refused: number
  /** By the other two. */
  readonly refusedByOthers: number
  /** Refused SYNs sent again. */
  readonly retransmissions: number
  /** Dropped by bans. */
  readonly banned: number
  readonly burst: number
  /** The burst with which nothing would have been refused. */
  readonly burstNeeded: number
  readonly firstRefusal: At | null
  readonly lastRefusal: At | null
  /** When the most was asked of it. */
  readonly peak: At | null
}

/** A source that any limit has refused. */
export interface RefusedSource {
  readonly source: string
  readonly service: string
  readonly attempts: number
  readonly accepted: number
  readonly refused: number
  readonly banned: number
  readonly first: At
}

/** A source whose DNS queries broke a rule of the section `dns`: reverse queries, malformed ones, sweeps, floods. */
export interface QueryRow {
  readonly source: string
  readonly service: string
  readonly mode: Mode
  /** Why the first of them was refused. */
  readonly reason: ReplayReason
  readonly attempts: number
  /** By these rules. */
  readonly refused: number
  readonly first: At
}

export interface BanRow extends At {
  readonly source: string
  readonly service: string
  /** The service whose ports it covers, or `all`. */
  readonly scope: string
  readonly mode: Mode
  /** The shortest: the daemon adds up to `ban.jitter` of it. */
  readonly seconds: number
  readonly offence: number | null
  readonly reason: string
  /** Attempts that it dropped. */
  readonly dropped: number
}

export function serviceRows(outcome: Outcome): ServiceRow[] {
  const { policy } = outcome
  return policy.services.map((service, slot) => {
    const { reasons, ...totals } = outcome.totalsOf(slot)
    const sorted = [...reasons].sort(([a], [b]) => compareText(a, b))
    return {
      service: service.name,
      mode: modeOf(policy, service),
      ...totals,
      reasons: Object.fromEntries(sorted),
    }
  })
}

/** All buckets that are remembered. */
export function recordsOf(outcome: Outcome): BucketRecord[] {
  return [...outcome.sources, ...outcome.networks, ...outcome.totalRecords()]
}

/** Buckets that refused, those that refused most on top. */
export function limitedRows(policy: Policy, records: readonly BucketRecord[]): BucketRow[] {
  return records
    .filter(({ refused }) => refused > 0)
    .map((record) => bucketRow(policy, record))
    .sort((a, b) => b.refused - a.refused || compareRows(a, b))
}

/** Buckets that refused nothing and were used up nearly, the emptiest on top. */
export function closeRows(policy: Policy, records: readonly BucketRecord[]): BucketRow[] {
  return records
    .filter(({ kind, refused, banned, limit, burstNeeded }) => {
      // A ban from all ports may be what kept a source below the limit of this service.
      const isHeldBack = refused > 0 || (kind === 'source' && banned > 0)
      return !isHeldBack && limit !== undefined && burstNeeded >= limit.burst * CLOSE
    })
    .map((record) => bucketRow(policy, record))
    .sort((a, b) => b.burstNeeded / b.burst - a.burstNeeded / a.burst || compareRows(a, b))
}

/** Sources whose DNS queries broke a rule of the section `dns`, those that were refused most on top. */
export function queryRows(policy: Policy, records: readonly BucketRecord[]): QueryRow[] {
  return records
    .flatMap((record) => {
      const {
        kind,
        service,
        attempts,
        refusedNarrowly: refused,
        firstNarrowly,
        narrowReason: reason,
      } = record
      if (kind !== 'source' || firstNarrowly === undefined || reason === undefined) return []
      const who = { source: record.who, service: service.name, mode: modeOf(policy, service) }
      return [{ ...who, reason, attempts, refused, first: at(firstNarrowly) }]
    })
    .sort((a, b) => b.refused - a.refused || compareText(a.source, b.source))
}

/** Sources that any limit refused, in the order of time. */
export function refusedSources(records: Iterable<BucketRecord>): RefusedSource[] {
  return [...records]
    .flatMap((record) => {
      if (record.kind !== 'source') return []
      const first = earlier(record.firstRefusal, record.firstRefusalByOthers)
      if (first === undefined) return []
      const { who, service, attempts, accepted, refused, refusedByOthers, banned } = record
      const all = refused + refusedByOthers
      return [
        { source: who, service: service.name, attempts, accepted, refused: all, banned, first: at(first) },
      ]
    })
    .sort(
      (a, b) =>
        a.first.afterSeconds - b.first.afterSeconds ||
        compareText(a.source, b.source) ||
        compareText(a.service, b.service),
    )
}

/** Sources with sessions, those with most failed ones on top. */
export function sessionRows({ sessions }: Outcome): SourceSessions[] {
  return [...sessions]
    .map((record) => ({ ...record, first: at(record.first), last: at(record.last) }))
    .sort(
      (a, b) =>
        b.failed - a.failed ||
        b.succeeded - a.succeeded ||
        b.unclear - a.unclear ||
        compareText(`${a.service} ${a.source}`, `${b.service} ${b.source}`),
    )
}

/** Bans, in the order of time. */
export function banRows({ bans }: Outcome): BanRow[] {
  return bans.map(({ start, offence = null, ...ban }) => ({ ...ban, offence, ...at(start) }))
}

function bucketRow(policy: Policy, record: BucketRecord): BucketRow {
  return {
    who: record.who,
    service: record.service.name,
    mode: modeOf(policy, record.service),
    limit: record.kind,
    attempts: record.attempts,
    accepted: record.accepted,
    refused: record.refused,
    refusedByOthers: record.refusedByOthers,
    retransmissions: record.retransmissions,
    banned: record.banned,
    burst: record.limit?.burst ?? 0,
    burstNeeded: record.burstNeeded,
    firstRefusal: record.firstRefusal === undefined ? null : at(record.firstRefusal),
    lastRefusal: record.lastRefusal === undefined ? null : at(record.lastRefusal),
    peak: record.peak === undefined ? null : at(record.peak),
  }
}

/** Seconds to the microsecond: beyond that, it is the noise of doubles. */
function at({ timeMs, elapsedMs }: Moment): At {
  return { at: isoTime(timeMs), afterSeconds: Math.round(elapsedMs * 1000) / 1e6 }
}

function earlier(a: Moment | undefined, b: Moment | undefined): Moment | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a.elapsedMs <= b.elapsedMs ? a : b
}

function compareRows(a: BucketRow, b: BucketRow): number {
  return compareText(`${a.limit} ${a.service} ${a.who}`, `${b.limit} ${b.service} ${b.who}`)
}

/** By code unit: the same order on every machine. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
