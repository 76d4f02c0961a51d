import type { MetricFamily } from './metric-family.ts'
import { one, sample } from './metric-samples.ts'

/** The daemon itself, its firewall, policy, store and process. */
export const DAEMON_METRICS: readonly MetricFamily[] = [
  {
    name: 'sluice_firewall_in_place',
    help: '1 if chains and sets were as they should be at the last check.',
    type: 'gauge',
    read: ({ health }) => one(health.problems.length === 0 ? 1 : 0),
  },
  {
    name: 'sluice_firewall_repairs_total',
    help: 'Times that chains, sets or their entries had to be put back.',
    type: 'counter',
    read: ({ health }) => one(health.repairs),
  },
  {
    name: 'sluice_reloads_total',
    help: 'Reloads of the policy, by result.',
    type: 'counter',
    labels: ['result'],
    read: ({ reloads }) => [
      sample({ result: 'ok' }, reloads.ok),
      sample({ result: 'refused' }, reloads.failed),
    ],
  },
  {
    name: 'sluice_policy_on_trial',
    help: '1 while a policy is in force that goes back by itself unless somebody confirms it.',
    type: 'gauge',
    read: ({ trial }) => one(trial === undefined ? 0 : 1),
  },
  {
    name: 'sluice_panic',
    help: '1 while everything passes until somebody resumes.',
    type: 'gauge',
    read: ({ panic }) => one(panic.mark === undefined ? 0 : 1),
  },
  {
    name: 'sluice_store_ok',
    help: '1 if what is to be remembered over a restart is on the disk; not there with state: off.',
    type: 'gauge',
    read: ({ store }) => (store === undefined ? [] : one(store.problem === undefined ? 1 : 0)),
  },
  {
    name: 'sluice_store_failures_total',
    help: 'Times that the store could not be opened or written.',
    type: 'counter',
    read: ({ store }) => one(store?.failures ?? 0),
  },
  {
    name: 'sluice_store_rows_written_total',
    help: 'Rows written to the store.',
    type: 'counter',
    read: ({ store }) => one(store?.rowsWritten ?? 0),
  },
  {
    name: 'sluice_build_info',
    help: 'Always 1; the labels say what runs.',
    type: 'gauge',
    labels: ['version', 'node'],
    read: ({ version }) => [sample({ version, node: process.versions.node }, 1)],
  },
  {
    name: 'process_cpu_seconds_total',
    help: 'CPU time of all threads, user and system.',
    type: 'counter',
    read: () => {
      const { user, system } = process.cpuUsage()
      return one((user + system) / 1e6)
    },
  },
  {
    name: 'process_resident_memory_bytes',
    help: 'Resident memory.',
    type: 'gauge',
    read: () => one(process.memoryUsage.rss()),
  },
  {
    name: 'process_start_time_seconds',
    help: 'Start, in seconds since 1970.',
    type: 'gauge',
    read: () => one(Math.round(Date.now() / 1000 - process.uptime())),
  },
]
