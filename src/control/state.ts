import type { Mode, Policy, Service } from '../config/policy.ts'
import type { Firewall } from '../firewall/firewall.ts'
import type { ServiceSlots } from '../path/service-slots.ts'
import type { Alarms } from './alarms.ts'
import type { AllowList } from './allow/allow-list.ts'
import type { Ban } from './bans/ban.ts'
import type { Bans } from './bans/bans.ts'
import type { Holds } from './bans/holds.ts'
import type { Suspects } from './bans/suspects.ts'
import type { InducedLookups } from './dns/induced-lookups.ts'
import type { Slip } from './dns/slip.ts'
import type { TcpListeners } from './dns/tcp-listeners.ts'
import type { Thinning } from './dns/thinning.ts'
import type { Evidence } from './evidence/evidence.ts'
import type { SshServers } from './evidence/ssh-servers.ts'
import type { Log } from './log/log.ts'
import type { PanicMark } from './panic-marker.ts'
import type { Serial } from './serial.ts'
import type { Proofs } from './sessions/proofs.ts'
import type { SessionCounts } from './sessions/session-counts.ts'
import type { SessionWatch } from './sessions/session-watch.ts'
import type { Store } from './store/store.ts'
import type { PathThreads } from './threads/path-threads.ts'

/** Everything that a running daemon knows. The functions beside this file work on it. */
export interface DaemonState {
  readonly configFile: string
  readonly version: string
  /** In force; a reload replaces it. */
  policy: Policy
  readonly log: Log
  readonly slots: ServiceSlots
  readonly threads: PathThreads
  readonly firewall: Firewall
  readonly allow: AllowList
  /** Bans that the kernel carries out. */
  readonly enforced: Bans
  /** Bans that services in shadow mode would have given. */
  readonly watched: Bans
  readonly holds: Holds
  readonly thinning: Thinning
  /** What is remembered over a restart; `undefined`: nothing. */
  readonly store: Store | undefined
  readonly proofs: Proofs
  readonly suspects: Suspects
  readonly sessions: SessionWatch
  readonly sessionCounts: SessionCounts
  readonly evidence: Evidence
  /** Who listens on this host. */
  readonly listeners: TcpListeners
  /** How the sessions of each service are judged. */
  readonly servers: SshServers
  /** Reverse lookups that clients cause. */
  readonly induced: InducedLookups
  readonly alarms: Alarms
  readonly slip: Slip
  /** All that writes chains or allow sets goes through here. */
  readonly serial: Serial
  readonly panic: PanicState
  /** The policy that is in force for a time only. */
  trial: Trial | undefined
  readonly health: FirewallHealth
  readonly reloads: { ok: number; failed: number; last: ReloadOutcome | undefined }
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** The part of it that decides who is banned and who never is. */
export type BanState = Pick<
  DaemonState,
  'configFile' | 'policy' | 'log' | 'firewall' | 'allow' | 'enforced' | 'watched' | 'now'
>

/** A policy that is in force until its time is over, unless somebody confirms it. */
export interface Trial {
  /** For people: where it came from. */
  readonly file: string
  readonly text: string
  /** What comes back. */
  readonly before: Policy
  /** Of services that the policy on trial does not have: their sets are gone meanwhile. */
  readonly bansBefore: readonly Ban[]
  /** Monotonic milliseconds. */
  readonly startedMs: number
  readonly endsMs: number
  timer: NodeJS.Timeout
}

/** Whether everything passes now. */
export interface PanicState {
  /** `undefined`: all is as the policy says. */
  mark: PanicMark | undefined
  /** Whether the mark is on the disk, for the next start. */
  isOnDisk: boolean
  /** When the log said so last. */
  saidMs: number
}

/** What the last look at the firewall found. */
interface FirewallHealth {
  problems: readonly string[]
  repairs: number
  lastRepairAt: Date | undefined
  /** Packets that our rules sent to each queue and that never came to the path thread: nobody listened, or it was full. */
  readonly bypassed: Map<number, number>
}

interface ReloadOutcome {
  readonly at: Date
  readonly ok: boolean
  readonly message: string
}

/** The mode that counts for `service`: the whole policy's shadow covers every service. */
export function modeOf(policy: Policy, service: Service | undefined): Mode {
  return policy.mode === 'shadow' ? 'shadow' : (service?.mode ?? policy.mode)
}
