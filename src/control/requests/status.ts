import type { Service } from '../../config/policy.ts'
import { formatPorts } from '../../config/values.ts'
import { QUEUE_COUNTERS } from '../../kernel/queue.ts'
import { readQueueCounters } from '../../kernel/queue-counters.ts'
import { decisionIndex } from '../../path/counters.ts'
import { REASONS, Verdict } from '../../path/reasons.ts'
import { ALLOW_ORIGINS } from '../allow/allow-list.ts'
import { ALL_PORTS } from '../bans/escalation.ts'
import { httpOrigin } from '../metrics/http.ts'
import { panicRow } from '../panic.ts'
import { type DaemonState, modeOf } from '../state.ts'
import { sumOver } from '../threads/path-totals.ts'
import { trialRow } from '../trial.ts'
import type { QueueStatus, ServiceStatus, SessionsStatus, StatusReport } from './protocol.ts'

const PACKETS = QUEUE_COUNTERS.indexOf('packets')

/** What `sluice status` shows. */
export function statusReport(state: DaemonState): StatusReport {
  const { policy, threads, health, reloads } = state
  const last = reloads.last
  return {
    version: state.version,
    pid: process.pid,
    uptimeSeconds: Math.round(process.uptime()),
    policyFile: state.configFile,
    mode: policy.mode,
    panic: panicRow(state.panic),
    trial: trialRow(state),
    threads: { count: threads.all.length, live: threads.live, restarts: threads.restarts },
    queues: queues(state),
    services: services(state),
    bansOfAllPorts: bansOf(state, ALL_PORTS),
    firewall: {
      inPlace: health.problems.length === 0,
      problems: health.problems,
      repairs: health.repairs,
      lastRepair: health.lastRepairAt?.toISOString() ?? null,
    },
    lastReload: last === undefined ? null : { ...last, at: last.at.toISOString() },
    store:
      state.store === undefined ? null : { path: state.store.path, problem: state.store.problem ?? null },
    sessions: sessionsOf(state),
    allowed: state.allow.entries(...ALLOW_ORIGINS).length,
    tracked: sumOver(threads, (counters) => counters.sources)[0]!,
    metrics: policy.metrics === undefined ? null : `${httpOrigin(policy.metrics)}/metrics`,
  }
}

function queues({ threads, health }: DaemonState): QueueStatus[] {
  const rows = readQueueCounters()
  return threads.all.map((thread) => {
    const row = rows.find(({ queue }) => queue === thread.queue)
    return {
      queue: thread.queue,
      waiting: row?.waiting ?? 0,
      received: thread.queueCounters()[PACKETS]!,
      dropped: (row?.kernelDropped ?? 0) + (row?.userDropped ?? 0),
      bypassed: health.bypassed.get(thread.queue) ?? 0,
    }
  })
}

function services(state: DaemonState): ServiceStatus[] {
  const { policy, slots, threads, evidence } = state
  const learned = evidence.trust?.listed() ?? []
  const decisions = sumOver(threads, (counters) => counters.decisions)
  const strikes = sumOver(threads, (counters) => counters.strikes)
  const count = (slot: number, verdict: number) =>
    REASONS.reduce((sum, _, reason) => sum + decisions[decisionIndex(slot, verdict, reason)]!, 0)
  return policy.services.map((service) => {
    const slot = slots.slotOf(service.name)
    return {
      name: service.name,
      mode: modeOf(policy, service),
      ports: service.ports.map(formatPorts),
      accepted: count(slot, Verdict.accept),
      refused: count(slot, Verdict.drop) + count(slot, Verdict.shadow),
      strikes: strikes[slot]!,
      failures: evidence.countsOf(service.name).tries,
      known: learned.filter(({ service: each }) => each === service.name).length,
      bans: bansOf(state, service.name),
      holds: holdsOf(state, service),
    }
  })
}

function sessionsOf({ policy, sessions, sessionCounts, proofs }: DaemonState): SessionsStatus {
  const names = policy.services.map(({ name }) => name)
  return {
    open: sessions.tracker.open,
    seen: names.reduce((sum, name) => sum + sessionCounts.assured(name), 0),
    closed: names.reduce((sum, name) => sum + sessionCounts.closed(name), 0),
    provenSources: proofs.size,
    problem: sessions.problem ?? null,
  }
}

function holdsOf({ policy, holds }: DaemonState, service: Service): number {
  const mode = modeOf(policy, service)
  return holds.active(service.name, 4, mode) + holds.active(service.name, 6, mode)
}

function bansOf({ enforced, watched }: DaemonState, scope: string): number {
  const sizes = [enforced, watched].flatMap(({ ledger }) => [ledger.size(scope, 4), ledger.size(scope, 6)])
  return sizes.reduce((sum, size) => sum + size, 0)
}
