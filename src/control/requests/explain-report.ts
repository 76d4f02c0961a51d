import type { Mode } from '../../config/policy.ts'
import type { BucketReading } from '../../path/bucket-reader.ts'
import type { SweepEvidence } from '../../path/dns/walk-records.ts'
import type { VerdictName } from '../../path/reasons.ts'
import type { Outcome } from '../evidence/outcome.ts'
import type { PanicRow } from '../panic-marker.ts'
import type { Volume } from '../sessions/session.ts'
import type { AllowRow, BanRow } from './rows.ts'

/**
 * Everything that touches one address, at one moment. Each area of sluice has a field of its own here, a
 * function in explain.ts that fills it, and one in src/cli/explain-text.ts that shows it.
 */
export interface ExplainReport {
  readonly address: string
  /** What the path counts the address as: itself, or its IPv6 /64. */
  readonly source: string
  /** Its IPv4 /24 or IPv6 /48. */
  readonly network: string
  /** ISO 8601. */
  readonly at: string
  /** While it is on, everything passes. */
  readonly panic: PanicRow | null
  /** The allow entry that the address lies in. */
  readonly allowed: AllowRow | null
  /** Of the address and of networks around it, in enforce and in shadow mode. */
  readonly bans: readonly BanRow[]
  readonly offences: OffenceMemory | null
  readonly reverseNames: ReverseNames
  readonly services: readonly ServiceExplanation[]
  /** What DNS queries draw from besides; none where no service speaks DNS. */
  readonly dnsBuckets: readonly DnsBuckets[]
  /** The last few that were judged since the start, oldest first. */
  readonly sessions: readonly SessionExplanation[]
}

/** What walks through reverse names are recognised by; `null`: no such query is remembered. */
export interface ReverseNames {
  readonly source: SweepEvidence | null
  /** All sources of the network together. */
  readonly network: SweepEvidence | null
}

/** `tcp`: connections to the service named; the others hold for all DNS services together. */
export interface DnsBuckets {
  readonly of: 'tcp' | 'reverse' | 'malformed' | 'sweep'
  readonly service: string | null
  readonly buckets: readonly BucketExplanation[]
}

export interface OffenceMemory {
  readonly count: number
  /** ISO 8601. */
  readonly last: string
  /** ISO 8601: from then on the next one is a first offence again. */
  readonly forgotten: string
}

export interface ServiceExplanation {
  readonly name: string
  readonly mode: Mode
  /** In the order in which the path asks them. */
  readonly buckets: readonly BucketExplanation[]
  /** `null`: this service bans nobody. */
  readonly strikes: {
    readonly count: number
    readonly needed: number
    readonly windowSeconds: number
    readonly forgottenInSeconds: number
  } | null
  readonly evidence: ServiceEvidence
  readonly next: NextAttempt
}

/** What a source has shown to a service. */
export interface ServiceEvidence {
  /** Completed with any service within the proof window, and how many must be before it is banned for refusals. */
  readonly handshakes: { readonly count: number; readonly needed: number }
  /** `null`: failures at this service are not counted. */
  readonly failures: {
    readonly tries: number
    readonly needed: number
    /** 0: there is none. */
    readonly nextForgottenInSeconds: number
    /** That successes could still take back. */
    readonly forgivable: number
  } | null
  /** `null`: it never logged in, or that is forgotten. */
  readonly trust: {
    readonly isKnownGood: boolean
    readonly successes: number
    /** ISO 8601. */
    readonly since: string
    readonly last: string
    /** When it is a stranger again, or has become one. */
    readonly until: string
  } | null
  /** How its sessions are judged, in words; `null`: they are not. */
  readonly judging: string | null
}

export interface SessionExplanation {
  /** When it was judged, ISO 8601. */
  readonly at: string
  /** Of the client, in full. */
  readonly address: string
  readonly service: string
  readonly outcome: Outcome
  /** How many a failed one counted as. */
  readonly tries: number | null
  readonly durationSeconds: number
  readonly toServer: Volume
  readonly toClient: Volume
}

export interface BucketExplanation {
  readonly kind: BucketReading['kind']
  readonly burst: number
  readonly ratePerSecond: number
  readonly tokens: number
  /** 0: it is full. */
  readonly nextTokenInSeconds: number
  readonly fullInSeconds: number
}

/** What a new connection or query would get now. */
export interface NextAttempt {
  readonly verdict: VerdictName
  /** What would refuse it, each with the time until it no longer would; `null`: it has no end. */
  readonly obstacles: readonly { readonly by: ObstacleKind; readonly seconds: number | null }[]
}

/** `hold`: the kernel drops all but one of 64 of its packets for a second at a time. */
export type ObstacleKind = 'ban' | 'hold' | BucketReading['kind']
