import type { Mode } from '../../config/policy.ts'
import type { ExitStatus } from '../../failure.ts'
import type { Cleared } from '../bans/pardon.ts'
import type { DnsReport } from '../dns/dns-report.ts'
import type { PanicRow } from '../panic-marker.ts'
import type { ExplainReport } from './explain-report.ts'
import type { Request } from './requests.ts'
import type { AllowRow, BanRow } from './rows.ts'

/**
 * The control socket's protocol: each line is a JSON object, a `Request` one way, a `Response` the other,
 * in order. Whoever sends anything else gets one answer that says so, and the connection ends.
 */
export const REQUEST_BYTES_MAX = 2 ** 21

export type Op = Request['op']

/** `status` is what `sluice` exits with. */
export type Response<Result = unknown> =
  | { readonly ok: true; readonly result: Result }
  | { readonly ok: false; readonly status: ExitStatus; readonly message: string; readonly remedy?: string }

/** What each request is answered with when it went well. */
export interface Results {
  readonly status: StatusReport
  readonly dns: DnsReport
  readonly reload: ReloadReport
  readonly apply: {
    readonly policyFile: string
    /** Settings that only count from the next start on, if it is confirmed. */
    readonly pending: readonly string[]
    readonly lifted: number
    readonly secondsLeft: number
  }
  readonly trial: {
    readonly policyFile: string
    readonly file: string
    readonly text: string
    readonly secondsLeft: number
  }
  readonly confirm: { readonly policyFile: string }
  readonly panic: PanicRow & { readonly lifted: number; readonly notes: readonly string[] }
  readonly resume: { readonly since: string; readonly notes: readonly string[] }
  readonly 'bans list': readonly BanRow[]
  readonly 'bans add': { readonly ban: BanRow; readonly notes: readonly string[] }
  readonly 'bans remove': {
    readonly lifted: readonly BanRow[]
    /** What was remembered besides, of the source or of those in the network. */
    readonly cleared: Cleared
  }
  readonly 'allow list': readonly AllowRow[]
  readonly 'allow add': {
    readonly entry: AllowRow
    /** Over a restart of the daemon. */
    readonly isRemembered: boolean
    readonly lifted: readonly BanRow[]
    readonly notes: readonly string[]
  }
  readonly 'allow remove': { readonly entry: AllowRow }
  readonly 'allow learned': readonly LearnedRow[]
  readonly 'allow forget': { readonly forgotten: readonly LearnedRow[] }
  readonly explain: ExplainReport
}

/** A source that is known good by its sessions. Times are ISO 8601. */
export interface LearnedRow {
  readonly source: string
  readonly service: string
  /** Sessions that have succeeded. */
  readonly successes: number
  readonly since: string
  readonly last: string
  /** Then it is a stranger again, if it does not come back before. */
  readonly until: string
}

export interface ReloadReport {
  readonly file: string
  /** Settings of the file that only count from the next start on. */
  readonly pending: readonly string[]
  /** Bans that the new allow list has lifted. */
  readonly lifted: number
}

export interface StatusReport {
  readonly version: string
  readonly pid: number
  readonly uptimeSeconds: number
  readonly policyFile: string
  readonly mode: Mode
  /** `null`: all is as the policy says. */
  readonly panic: PanicRow | null
  /** The policy that is in force for a time only. */
  readonly trial: { readonly file: string; readonly secondsLeft: number } | null
  readonly threads: { readonly count: number; readonly live: number; readonly restarts: number }
  readonly queues: readonly QueueStatus[]
  readonly services: readonly ServiceStatus[]
  readonly bansOfAllPorts: number
  readonly firewall: {
    readonly inPlace: boolean
    readonly problems: readonly string[]
    readonly repairs: number
    /** ISO 8601; `null`: never. */
    readonly lastRepair: string | null
  }
  readonly lastReload: { readonly at: string; readonly ok: boolean; readonly message: string } | null
  /** `null`: nothing is remembered over a restart. */
  readonly store: { readonly path: string; readonly problem: string | null } | null
  readonly allowed: number
  readonly sessions: SessionsStatus
  readonly tracked: number
  readonly metrics: string | null
}

export interface SessionsStatus {
  /** As of the last look, a second ago at most. */
  readonly open: number
  /** Since the start: connections whose clients proved their addresses, and those of them that are over. */
  readonly seen: number
  readonly closed: number
  /** Sources that count as proven now, or did a moment ago. */
  readonly provenSources: number
  /** Why none can be seen. */
  readonly problem: string | null
}

export interface QueueStatus {
  readonly queue: number
  readonly waiting: number
  readonly received: number
  /** By the kernel, since the queue or its socket was full. */
  readonly dropped: number
  /** Passed unseen: nobody listened, or it was full with failOpen. */
  readonly bypassed: number
}

export interface ServiceStatus {
  readonly name: string
  readonly mode: Mode
  readonly ports: readonly string[]
  readonly accepted: number
  readonly refused: number
  readonly strikes: number
  /** Failed logins seen since the start. */
  readonly failures: number
  /** Sources known good now. */
  readonly known: number
  /** In force, for this service's ports alone; in shadow mode those that would be. */
  readonly bans: number
  /** Sources and networks held off in the kernel now; in shadow mode those that would be. */
  readonly holds: number
}
