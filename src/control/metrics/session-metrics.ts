import type { OutcomeModel } from '../../config/policy.ts'
import { FLOW_EVENT_COUNTERS } from '../../kernel/flow-events.ts'
import type { DaemonState } from '../state.ts'
import type { MetricFamily } from './metric-family.ts'
import { one, type Sample, sample } from './metric-samples.ts'

/** Sessions, and the proofs that they are. */
export const SESSION_METRICS: readonly MetricFamily[] = [
  {
    name: 'sluice_sessions_assured_total',
    help: 'Connections to a service whose clients proved their addresses.',
    type: 'counter',
    labels: ['service'],
    read: (state) => byService(state, (name) => state.sessionCounts.assured(name)),
  },
  {
    name: 'sluice_sessions_closed_total',
    help: 'Connections to a service that are over, with their volumes known.',
    type: 'counter',
    labels: ['service'],
    read: (state) => byService(state, (name) => state.sessionCounts.closed(name)),
  },
  {
    name: 'sluice_sessions_uncounted_total',
    help: 'Connections that are over and whose volumes nobody knows: they began before conntrack counted.',
    type: 'counter',
    read: ({ sessions }) => one(sessions.tracker.uncounted),
  },
  {
    name: 'sluice_sessions_untracked_total',
    help: 'Times that a connection was left out of a look since too many were tracked.',
    type: 'counter',
    read: ({ sessions }) => one(sessions.tracker.untracked),
  },
  {
    name: 'sluice_open_sessions',
    help: 'Connections to services that are open.',
    type: 'gauge',
    read: ({ sessions }) => one(sessions.tracker.open),
  },
  {
    name: 'sluice_unproven_promotions_total',
    help: 'Offenders who were not banned at once since their addresses were not proven.',
    type: 'counter',
    labels: ['service'],
    read: (state) => byService(state, (name) => state.suspects.count(name)),
  },
  {
    name: 'sluice_failed_session_bytes',
    help: 'Up to so many bytes of payload from the SSH server a session has failed; 0: none is called failed.',
    type: 'gauge',
    labels: ['service'],
    read: ({ policy, servers }) =>
      policy.services
        .filter(({ outcome }) => outcome?.kind === 'ssh')
        .map((service) => sample({ service: service.name }, failedUpTo(servers.judgingOf(service).model))),
  },
  {
    name: 'sluice_conntrack_looks_total',
    help: 'Looks at assured connections.',
    type: 'counter',
    read: ({ sessions }) => one(sessions.looks),
  },
  {
    name: 'sluice_conntrack_whole_looks_total',
    help: "Those of them that walked through conntrack's whole table.",
    type: 'counter',
    read: ({ sessions }) => one(sessions.wholeLooks),
  },
  {
    name: 'sluice_conntrack_look_failures_total',
    help: 'Looks that the kernel refused.',
    type: 'counter',
    read: ({ sessions }) => one(sessions.failures),
  },
  {
    name: 'sluice_conntrack_look_seconds_total',
    help: 'Time that the looks took.',
    type: 'counter',
    read: ({ sessions }) => one(sessions.lookMs / 1000),
  },
  {
    name: 'sluice_conntrack_events_total',
    help: "Messages of conntrack's events, and what went wrong with them, by kind; overruns: events were lost.",
    type: 'counter',
    labels: ['event'],
    read: ({ sessions }) =>
      FLOW_EVENT_COUNTERS.map((event) => sample({ event }, sessions.eventCounter(event))),
  },
]

function byService({ policy }: DaemonState, value: (service: string) => number): Sample[] {
  return policy.services.map(({ name }) => sample({ service: name }, value(name)))
}

function failedUpTo(model: OutcomeModel | undefined): number {
  return model !== undefined && 'failedBytes' in model ? model.failedBytes : 0
}
