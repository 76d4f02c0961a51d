import type { Mode } from '../config/policy.ts'
import type { LimitKind } from '../path/compile.ts'
import type { ReplayReason } from './replay-reason.ts'
import type { SessionCounts } from './session-records.ts'

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
