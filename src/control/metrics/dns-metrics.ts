import { ANSWER_KINDS } from '../../path/dns/answer-kinds.ts'
import { DNS_KINDS } from '../../path/dns/message.ts'
import type { ReverseRateState } from '../../path/dns/reverse-rate.ts'
import { SWEEP_KINDS } from '../../path/dns/walk-records.ts'
import { lookupsAlarm, UNSOLICITED_ALARM, unsolicitedAnswers } from '../dns/dns-alarms.ts'
import { hostReverseRate } from '../dns/reverse-floods.ts'
import type { DaemonState } from '../state.ts'
import { pathClockMs } from '../threads/path-clock.ts'
import { sumOver } from '../threads/path-totals.ts'
import type { MetricFamily } from './metric-family.ts'
import { byLabel, one, replies, sample } from './metric-samples.ts'

/** DNS: queries, floods, answers, and what makes this host ask. */
export const DNS_METRICS: readonly MetricFamily[] = [
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
    name: 'sluice_dns_reverse_queries_per_second',
    help: 'Reverse DNS queries in the last second that the limits of sources and networks let pass.',
    type: 'gauge',
    read: (state) => one(reverseRate(state).perSecond),
  },
  {
    name: 'sluice_dns_reverse_level',
    help: 'How many reverse DNS queries a second are usual here, as learned.',
    type: 'gauge',
    read: (state) => one(reverseRate(state).level),
  },
  {
    name: 'sluice_dns_reverse_flooded',
    help: 'Whether there is a flood of reverse DNS queries: only sources known to be good are answered (0 or 1).',
    type: 'gauge',
    read: (state) => one(Number(reverseRate(state).isFlooded)),
  },
  {
    name: 'sluice_dns_reverse_flood_thinned',
    help: 'Whether the kernel drops most reverse DNS queries of strangers, since they fill the queue (0 or 1).',
    type: 'gauge',
    labels: ['family'],
    read: ({ thinning }) =>
      ([4, 6] as const).map((family) => sample({ family: `ipv${family}` }, Number(thinning.isOn(family)))),
  },
  {
    name: 'sluice_dns_reverse_flood_thinning_failures_total',
    help: 'Entries that the kernel did not take when it was to drop or to spare them in a flood: the queue has the rest.',
    type: 'counter',
    read: ({ thinning }) => one(thinning.failures),
  },
  {
    name: 'sluice_dns_reverse_floods_total',
    help: 'Floods of reverse DNS queries that have begun, by path thread.',
    type: 'counter',
    read: (state) => one(reverseRate(state).floods),
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
    read: ({ threads }) => one(sumOver(threads, (counters) => counters.lookupsLost)[0]),
  },
]

function reverseRate({ threads }: Pick<DaemonState, 'threads'>): ReverseRateState {
  return hostReverseRate(threads.reverseRates(pathClockMs()))
}
