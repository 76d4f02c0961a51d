import { ALLOW_ORIGINS } from '../allow/allow-list.ts'
import { sumOver } from '../threads/path-totals.ts'
import type { MetricFamily } from './metric-family.ts'
import { byService, byTable, one, packets } from './metric-samples.ts'

/** What the path has decided, and what it keeps in mind. */
export const PATH_METRICS: readonly MetricFamily[] = [
  {
    name: 'sluice_packets_total',
    help: 'Packets that the path has judged; verdict shadow: accepted, and dropped in mode enforce.',
    type: 'counter',
    labels: ['service', 'verdict', 'reason'],
    read: packets,
  },
  {
    name: 'sluice_strikes_total',
    help: 'Refusals by the limit of one source, which count towards a ban.',
    type: 'counter',
    labels: ['service'],
    read: (state) => byService(state, (counters) => counters.strikes),
  },
  {
    name: 'sluice_promotions_total',
    help: 'Sources that collected enough strikes to be banned.',
    type: 'counter',
    labels: ['service'],
    read: (state) => byService(state, (counters) => counters.promotions),
  },
  {
    name: 'sluice_promotions_lost_total',
    help: 'Promotions that found their ring full: these sources stay limited and come again.',
    type: 'counter',
    read: (state) => one(sumOver(state.threads, (counters) => counters.promotionsLost)[0]),
  },
  {
    name: 'sluice_allow_entries',
    help: 'Entries of the allow list, by where they come from.',
    type: 'gauge',
    labels: ['origin'],
    read: ({ allow }) =>
      ALLOW_ORIGINS.map((origin) => ({ labels: { origin }, value: allow.entries(origin).length })),
  },
  {
    name: 'sluice_tracked_entries',
    help: 'Sources and networks that have a bucket now.',
    type: 'gauge',
    labels: ['table'],
    read: (state) => byTable(state, 0),
  },
  {
    name: 'sluice_evictions_total',
    help: 'Buckets that were forgotten before they were full since the table had no room.',
    type: 'counter',
    labels: ['table'],
    read: (state) => byTable(state, 1),
  },
  {
    name: 'sluice_path_threads',
    help: 'Path threads that are alive.',
    type: 'gauge',
    read: ({ threads }) => one(threads.live),
  },
  {
    name: 'sluice_path_thread_restarts_total',
    help: 'Path threads that died and were started again.',
    type: 'counter',
    read: ({ threads }) => one(threads.restarts),
  },
]
