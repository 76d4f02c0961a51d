import { randomFillSync } from 'node:crypto'
import type { Policy } from '../config/policy.ts'
import { Firewall } from '../firewall/firewall.ts'
import type { ServiceSlots } from '../path/service-slots.ts'
import { Alarms } from './alarms.ts'
import { AllowList } from './allow/allow-list.ts'
import { hostEntries, policyEntries, sessionEntries } from './allow/never-ban.ts'
import { Bans } from './bans/bans.ts'
import { Holds } from './bans/holds.ts'
import { kernelBanSets } from './bans/kernel-ban-sets.ts'
import { MemoryBanSets } from './bans/memory-ban-sets.ts'
import { Suspects } from './bans/suspects.ts'
import { InducedLookups } from './dns/induced-lookups.ts'
import { Slip } from './dns/slip.ts'
import { TcpListeners } from './dns/tcp-listeners.ts'
import { Thinning } from './dns/thinning.ts'
import { Evidence } from './evidence/evidence.ts'
import { SshServers } from './evidence/ssh-servers.ts'
import { Trust } from './evidence/trust.ts'
import type { Log } from './log/log.ts'
import { Serial } from './serial.ts'
import type { ConnectionSweeper } from './sessions/connection-sweeper.ts'
import { Proofs } from './sessions/proofs.ts'
import { SessionCounts } from './sessions/session-counts.ts'
import type { SessionWatch } from './sessions/session-watch.ts'
import type { DaemonState } from './state.ts'
import { rememberIn } from './store/remembered.ts'
import { Store } from './store/store.ts'
import type { PathThreads } from './threads/path-threads.ts'
import { readVersion } from './version.ts'

export interface NewState {
  readonly configFile: string
  readonly policy: Policy
  readonly log: Log
  readonly slots: ServiceSlots
  readonly threads: PathThreads
  readonly sweeper: ConnectionSweeper
  readonly sessions: SessionWatch
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** The state of a daemon whose path threads run and which has not touched the firewall yet. */
export function createState({ sweeper, ...given }: NewState): DaemonState {
  const { policy, log, now } = given
  const allow = new AllowList()
  allow.set('policy', policyEntries(policy))
  allow.set('host', hostEntries())
  allow.set('session', sessionEntries(policy))
  const { threads, slots } = given
  const slotOf = (service: string) => slots.slotOf(service)
  const trust = policy.trust && new Trust({ policy: policy.trust, known: threads.known, slotOf, now })
  const listeners = new TcpListeners({ log, now })
  const common = { policy: policy.ban, log, now, random: Math.random }
  const state: DaemonState = {
    ...given,
    version: readVersion(),
    firewall: new Firewall(policy, allow.prefixes()),
    allow,
    enforced: new Bans({
      ...common,
      mode: 'enforce',
      sets: kernelBanSets,
      onBanned: (bans) => sweeper.add(bans.map(({ prefix }) => prefix)),
    }),
    watched: new Bans({
      ...common,
      mode: 'shadow',
      sets: new MemoryBanSets(policy.ban.maxEntries, now),
      onBanned: () => {},
    }),
    holds: new Holds({ sets: kernelBanSets, log, now }),
    thinning: new Thinning({ sets: kernelBanSets, log, now }),
    proofs: new Proofs(policy.ban.proofWindowMs, now),
    suspects: new Suspects(now),
    sessionCounts: new SessionCounts(),
    evidence: new Evidence({ trust, log, now }),
    listeners,
    servers: new SshServers({ policy: () => state.policy, log, now, listeners: () => listeners.all() }),
    induced: new InducedLookups({
      connections: given.threads,
      slotOf: (service) => given.slots.slotOf(service),
      seed: randomFillSync(new Uint32Array(1)),
    }),
    alarms: new Alarms(log),
    slip: new Slip(),
    serial: new Serial(),
    trial: undefined,
    panic: { mark: undefined, isOnDisk: false, saidMs: 0 },
    health: {
      problems: ['the chains are not in place yet'],
      repairs: 0,
      lastRepairAt: undefined,
      bypassed: new Map(),
    },
    store: policy.state && new Store({ ...policy.state, log, now }),
    reloads: { ok: 0, failed: 0, last: undefined },
  }
  if (state.store !== undefined) rememberIn(state.store, state)
  return state
}
