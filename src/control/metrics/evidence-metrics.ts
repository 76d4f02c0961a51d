import type { MetricFamily } from './metric-family.ts'
import { byEvidence, knownSources, one, sessionOutcomes } from './metric-samples.ts'

/** What sessions have shown. */
export const EVIDENCE_METRICS: readonly MetricFamily[] = [
  {
    name: 'sluice_session_outcomes_total',
    help: 'Sessions by how their logins went; one that succeeds counts again while it goes on.',
    type: 'counter',
    labels: ['service', 'outcome'],
    read: sessionOutcomes,
  },
  {
    name: 'sluice_failed_logins_total',
    help: 'Failed logins that were held against their sources.',
    type: 'counter',
    labels: ['service'],
    read: (state) => byEvidence(state, ({ tries }) => tries),
  },
  {
    name: 'sluice_failure_offences_total',
    help: 'Sources with enough failed logins to be banned.',
    type: 'counter',
    labels: ['service'],
    read: (state) => byEvidence(state, ({ sources }) => sources),
  },
  {
    name: 'sluice_network_offences_total',
    help: 'Networks of which enough parts have offended to be banned.',
    type: 'counter',
    labels: ['service'],
    read: (state) => byEvidence(state, ({ networks }) => networks),
  },
  {
    name: 'sluice_known_sources',
    help: 'Sources that are known good now, since their logins have succeeded.',
    type: 'gauge',
    labels: ['service'],
    read: knownSources,
  },
  {
    name: 'sluice_known_lost_total',
    help: 'Sources that were known good and lost that by failed logins.',
    type: 'counter',
    read: ({ evidence }) => one(evidence.trust?.lost),
  },
  {
    name: 'sluice_known_evictions_total',
    help: 'Sources that are strangers to the path again since its table of those known good had no room.',
    type: 'counter',
    read: ({ threads }) => one(threads.known.evictions),
  },
]
