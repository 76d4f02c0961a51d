import { ANSWER_KINDS } from '../path/dns/answer-kinds.ts'
import { DNS_KINDS } from '../path/dns/message.ts'
import { SWEEP_KINDS } from '../path/dns/sweeps.ts'
import { ALLOW_ORIGINS } from './allow-list.ts'
import { lookupsAlarm, UNSOLICITED_ALARM, unsolicitedAnswers } from './dns-alarms.ts'
import {
  activeBans,
  BATCHES,
  byEvidence,
  byHoldSet,
  byLabel,
  byQueue,
  byService,
  byTable,
  fromKernel,
  given,
  knownSources,
  netlinkEvents,
  one,
  PACKETS,
  packets,
  replies,
  type Sample,
  sample,
  sessionOutcomes,
} from './metric-samples.ts'
import { pathClockMs } from './path-clock.ts'
import { sumOver } from './path-totals.ts'
import { hostReverseRate } from './reverse-floods.ts'
import { SESSION_METRICS } from './session-metrics.ts'
import type { DaemonState } from './state.ts'

/** One metric: its samples are read from `state` when somebody asks. Labels come from closed sets only. */
export interface MetricFamily {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly labels?: readonly string[]
  readonly read: (state: DaemonState) => readonly Sample[]
}

/** Every metric but the histogram of batch times. */
export const METRIC_FAMILIES: readonly MetricFamily[] = [
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
  {
    name: 'sluice_bans_total',
    help: 'Bans given, by the service that earned them (all: by a person, for all ports).',
    type: 'counter',
    labels: ['service', 'family'],
    read: ({ enforced, policy }) => given(enforced, policy),
  },
  {
    name: 'sluice_shadow_bans_total',
    help: 'Bans that services in shadow mode would have given.',
    type: 'counter',
    labels: ['service', 'family'],
    read: ({ watched, policy }) => given(watched, policy),
  },
  {
    name: 'sluice_active_bans',
    help: 'Bans in force, by the ports that they cover (all: every port).',
    type: 'gauge',
    labels: ['service', 'family'],
    read: activeBans,
  },
  {
    name: 'sluice_ban_evictions_total',
    help: 'Bans lifted before their end since a ban set was full.',
    type: 'counter',
    read: ({ enforced }) => one(enforced.evictions),
  },
  {
    name: 'sluice_ban_failures_total',
    help: 'Bans that the kernel has not taken at once.',
    type: 'counter',
    read: ({ enforced }) => one(enforced.refusals),
  },
  {
    name: 'sluice_holds_total',
    help: 'Sources and networks held off in the kernel; a hold that is renewed counts once.',
    type: 'counter',
    labels: ['service', 'family'],
    read: (state) => byHoldSet(state, (...row) => state.holds.begun(...row, 'enforce')),
  },
  {
    name: 'sluice_shadow_holds_total',
    help: 'Holds that services in shadow mode would have begun.',
    type: 'counter',
    labels: ['service', 'family'],
    read: (state) => byHoldSet(state, (...row) => state.holds.begun(...row, 'shadow')),
  },
  {
    name: 'sluice_active_holds',
    help: 'Holds in force.',
    type: 'gauge',
    labels: ['service', 'family'],
    read: (state) => byHoldSet(state, (...row) => state.holds.active(...row, 'enforce')),
  },
  {
    name: 'sluice_holds_lost_total',
    help: 'Holds that found no room or failed: these sources stay limited and come again.',
    type: 'counter',
    read: ({ threads, holds }) => one(sumOver(threads, (counters) => counters.holdsLost)[0]! + holds.lost),
  },
  ...SESSION_METRICS,
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
    name: 'sluice_dns_queries_total',
    help: 'Datagrams to DNS services, by what they are; refused ones are counted too.',
    type: 'counter',
    labels: ['kind'],
    read: (state) => byLabel(state, 'kind', DNS_KINDS, (counters) => counters.dnsKinds),
  },
  {
    name: 'sluice_dns_sweeps_total',
    help: 'Sources and networks whose reverse queries were recognised as a walk.',
    type: 'counter',
    labels: ['kind'],
    read: (state) => byLabel(state, 'kind', SWEEP_KINDS, (counters) => counters.sweeps, 'none'),
  },
  {
    name: 'sluice_batches_total',
    help: 'Batches of packets that came out of a queue.',
    type: 'counter',
    labels: ['queue'],
    read: (state) => byQueue(state, (counters) => counters[BATCHES]!),
  },
  {
    name: 'sluice_queue_received_packets_total',
    help: 'Packets that came out of a queue.',
    type: 'counter',
    labels: ['queue'],
    read: (state) => byQueue(state, (counters) => counters[PACKETS]!),
  },
  {
    name: 'sluice_queue_waiting_packets',
    help: 'Packets that wait for a verdict.',
    type: 'gauge',
    labels: ['queue'],
    read: (state) => fromKernel(state, 'waiting'),
  },
  {
    name: 'sluice_queue_kernel_dropped_packets_total',
    help: 'Packets that the kernel dropped at a full queue; none with failOpen.',
    type: 'counter',
    labels: ['queue'],
    read: (state) => fromKernel(state, 'kernelDropped'),
  },
  {
    name: 'sluice_queue_user_dropped_packets_total',
    help: 'Packets that the kernel dropped at a full socket buffer.',
    type: 'counter',
    labels: ['queue'],
    read: (state) => fromKernel(state, 'userDropped'),
  },
  {
    name: 'sluice_queue_bypassed_packets_total',
    help: 'Packets that passed a queue unseen: nobody listened, or it was full with failOpen.',
    type: 'counter',
    labels: ['queue'],
    read: ({ threads, health }) =>
      threads.all.map(({ queue }) => sample({ queue: `${queue}` }, health.bypassed.get(queue) ?? 0)),
  },
  {
    name: 'sluice_netlink_events_total',
    help: 'What went wrong between the kernel and the addon, by kind.',
    type: 'counter',
    labels: ['event'],
    read: netlinkEvents,
  },
  {
    name: 'sluice_dns_reverse_queries_per_second',
    help: 'Reverse DNS queries in the last second that the limits of sources and networks let pass.',
    type: 'gauge',
    read: ({ threads }) => one(hostReverseRate(threads.reverseRates(pathClockMs())).perSecond),
  },
  {
    name: 'sluice_dns_reverse_level',
    help: 'How many reverse DNS queries a second are usual here, as learned.',
    type: 'gauge',
    read: ({ threads }) => one(hostReverseRate(threads.reverseRates(pathClockMs())).level),
  },
  {
    name: 'sluice_dns_reverse_flooded',
    help: 'Whether there is a flood of reverse DNS queries: only sources known to be good are answered (0 or 1).',
    type: 'gauge',
    read: ({ threads }) => one(Number(hostReverseRate(threads.reverseRates(pathClockMs())).isFlooded)),
  },
  {
    name: 'sluice_dns_reverse_floods_total',
    help: 'Floods of reverse DNS queries that have begun, by path thread.',
    type: 'counter',
    read: ({ threads }) => one(hostReverseRate(threads.reverseRates(pathClockMs())).floods),
  },
  {
    name: 'sluice_dns_replies_total',
    help: 'Refused DNS queries to be answered with "ask again over TCP", by what became of the answer.',
    type: 'counter',
    labels: ['outcome'],
    read: replies,
  },
  {
    name: 'sluice_dns_slip_possible',
    help: '1 if refused DNS queries are asked to come back over TCP: dns.slip is set and somebody listens there.',
    type: 'gauge',
    read: ({ policy, slip }) => one(policy.dns.slip > 0 && slip.obstacle === '' ? 1 : 0),
  },
  {
    name: 'sluice_dns_proven_resolvers_total',
    help: 'Sources that were asked to come back over TCP and did: known good to the DNS service for an hour.',
    type: 'counter',
    read: ({ slip }) => one(slip.proven),
  },
  {
    name: 'sluice_dns_unsolicited_answers_total',
    help: 'Answers from port 53 that nobody here has asked for, by what they answer.',
    type: 'counter',
    labels: ['kind'],
    read: ({ threads }) => {
      const counts = sumOver(threads, (counters) => counters.answers)
      return ANSWER_KINDS.map((kind, i) => sample({ kind }, counts[i]!))
    },
  },
  {
    name: 'sluice_dns_unsolicited_answers_per_second',
    help: 'The same in the last whole minute, on average.',
    type: 'gauge',
    read: (state) => one(unsolicitedAnswers(state).count / 60),
  },
  {
    name: 'sluice_dns_unsolicited_answer_sources',
    help: 'From how many different sources they seemed to come in the last whole minute, within a few per cent.',
    type: 'gauge',
    read: (state) => one(unsolicitedAnswers(state).sources),
  },
  {
    name: 'sluice_dns_unsolicited_answers_alarm',
    help: '1 while more of them come a second than dns.unsolicited.alarm.',
    type: 'gauge',
    read: ({ alarms }) => one(alarms.isOn(UNSOLICITED_ALARM) ? 1 : 0),
  },
  {
    name: 'sluice_dns_induced_lookups_total',
    help: 'Reverse lookups of this host that a client of the service has caused (none: nobody who was here).',
    type: 'counter',
    labels: ['service'],
    read: ({ policy, induced }) => [
      ...policy.services.map(({ name }) => sample({ service: name }, induced.count(name).total)),
      sample({ service: 'none' }, induced.unexplained),
    ],
  },
  {
    name: 'sluice_dns_induced_lookups_last_hour',
    help: 'The same, within the last hour.',
    type: 'gauge',
    labels: ['service'],
    read: ({ policy, induced }) =>
      policy.services.map(({ name }) =>
        sample({ service: name }, induced.count(name).lastHour(pathClockMs())),
      ),
  },
  {
    name: 'sluice_dns_induced_lookups_alarm',
    help: '1 while clients of the service cause more reverse lookups an hour than dns.induced.alarm.',
    type: 'gauge',
    labels: ['service'],
    read: ({ policy, alarms }) =>
      policy.services.map(({ name }) => sample({ service: name }, alarms.isOn(lookupsAlarm(name)) ? 1 : 0)),
  },
  {
    name: 'sluice_dns_lookups_lost_total',
    help: 'Reverse lookups of this host that were not counted since too many came at once.',
    type: 'counter',
    read: ({ threads }) => one(threads.own?.counters.lookupsLost[0]),
  },
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
