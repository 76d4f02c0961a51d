import type { Policy } from '../../config/policy.ts'
import { QUEUE_COUNTERS } from '../../kernel/queue.ts'
import { readQueueCounters } from '../../kernel/queue-counters.ts'
import type { Family } from '../../net/prefix.ts'
import { decisionIndex, type PathCounters } from '../../path/counters.ts'
import { REASONS, Reason, VERDICTS, Verdict } from '../../path/reasons.ts'
import { NO_SERVICE } from '../../path/service-slots.ts'
import type { Bans } from '../bans/bans.ts'
import { ALL_PORTS } from '../bans/escalation.ts'
import type { EvidenceCounts } from '../evidence/evidence.ts'
import type { DaemonState } from '../state.ts'
import { sumOver } from '../threads/path-totals.ts'

/** One value of a metric. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

export const BATCHES = QUEUE_COUNTERS.indexOf('batches')
export const PACKETS = QUEUE_COUNTERS.indexOf('packets')

/** One value with its labels. */
export function sample(labels: Readonly<Record<string, string>>, value: number): Sample {
  return { labels, value }
}

/** The only value of a metric without labels. */
export function one(value = 0): Sample[] {
  return [{ value }]
}

/** Packets by service (`none` for those of no service), verdict and reason. */
export function packets({ threads, slots, policy }: DaemonState): Sample[] {
  const counts = sumOver(threads, (counters) => counters.decisions)
  const services = [...policy.services.map(({ name }) => name), undefined]
  return services.flatMap((name) => {
    const slot = name === undefined ? NO_SERVICE : slots.slotOf(name)
    return VERDICTS.flatMap((verdict, v) =>
      REASONS.flatMap((reason, r) => {
        const value = counts[decisionIndex(slot, v, r)]!
        if (value === 0 && !(name !== undefined && isUsual(v, r))) return []
        return [sample({ service: name ?? 'none', verdict, reason: reason.name }, value)]
      }),
    )
  })
}

/** Of the many pairs most never occur; these are there from the start, so that a graph begins with 0. */
function isUsual(verdict: number, reason: number): boolean {
  return (
    (verdict === Verdict.accept && reason === Reason.withinLimit) ||
    (verdict === Verdict.drop && reason === Reason.sourceLimit)
  )
}

/** One of the path's counters, by service. */
export function byService(
  { threads, slots, policy }: DaemonState,
  pick: (counters: PathCounters) => Float64Array,
): Sample[] {
  const counts = sumOver(threads, pick)
  return policy.services.map(({ name }) => sample({ service: name }, counts[slots.slotOf(name)]!))
}

/** Occupied slots (`index` 0) or evictions (1) of the bucket tables. */
export function byTable({ threads }: DaemonState, index: number): Sample[] {
  return (['sources', 'networks', 'walkers'] as const).map((table) =>
    sample({ table }, sumOver(threads, (counters) => counters[table])[index]!),
  )
}

/** One of the path's counters with an element for each of `labels`, but those in `leftOut`. */
export function byLabel(
  { threads }: DaemonState,
  label: string,
  labels: readonly string[],
  pick: (counters: PathCounters) => Float64Array,
  leftOut?: string,
): Sample[] {
  const counts = sumOver(threads, pick)
  return labels.flatMap((name, i) => (name === leftOut ? [] : [sample({ [label]: name }, counts[i]!)]))
}

/** Something that `pick` takes from the addon's counters of each queue. */
export function byQueue({ threads }: DaemonState, pick: (counters: readonly number[]) => number): Sample[] {
  return threads.all.map((thread) => sample({ queue: `${thread.queue}` }, pick(thread.queueCounters())))
}

/** A column of the kernel's own account of our queues. */
export function fromKernel(
  { threads }: DaemonState,
  column: 'waiting' | 'kernelDropped' | 'userDropped',
): Sample[] {
  const rows = readQueueCounters()
  return threads.all.map(({ queue }) =>
    sample({ queue: `${queue}` }, rows.find((row) => row.queue === queue)?.[column] ?? 0),
  )
}

/** What becomes of the answers to refused DNS queries, by counter of the addon. */
const REPLY_OUTCOMES = {
  replies: 'sent',
  repliesUnmade: 'unmade',
  repliesForbidden: 'forbidden',
  replyErrors: 'failed',
} as const

/** The answers to refused DNS queries, over all queues, by outcome. */
export function replies({ threads }: DaemonState): Sample[] {
  const byThread = threads.all.map((thread) => thread.queueCounters())
  return Object.entries(REPLY_OUTCOMES).map(([counter, outcome]) => {
    const at = (QUEUE_COUNTERS as readonly string[]).indexOf(counter)
    return sample(
      { outcome },
      byThread.reduce((sum, counters) => sum + counters[at]!, 0),
    )
  })
}

/** The addon's counters of what went wrong, over all queues. */
export function netlinkEvents({ threads }: DaemonState): Sample[] {
  const byThread = threads.all.map((thread) => thread.queueCounters())
  return QUEUE_COUNTERS.flatMap((event, i) => {
    if (i === BATCHES || i === PACKETS || event in REPLY_OUTCOMES) return []
    const snake = event.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    return [
      sample(
        { event: snake },
        byThread.reduce((sum, counters) => sum + counters[i]!, 0),
      ),
    ]
  })
}

/** Bans given since the start, by service and family. */
export function given({ given }: Bans, policy: Policy): Sample[] {
  return byBanSet(policy, (service, family) => {
    const row = given.find((each) => each.service === service && each.family === family)
    return row?.count ?? 0
  })
}

/** Sessions by service and outcome. */
export function sessionOutcomes({ evidence, policy }: DaemonState): Sample[] {
  return policy.services.flatMap(({ name }) =>
    Object.entries(evidence.countsOf(name).sessions).map(([outcome, count]) =>
      sample({ service: name, outcome }, count),
    ),
  )
}

/** One of the counters of the evidence, by service. */
export function byEvidence(
  { evidence, policy }: DaemonState,
  pick: (counts: EvidenceCounts) => number,
): Sample[] {
  return policy.services.map(({ name }) => sample({ service: name }, pick(evidence.countsOf(name))))
}

/** Sources known good now, by service. */
export function knownSources({ evidence, policy }: DaemonState): Sample[] {
  const learned = evidence.trust?.listed() ?? []
  return policy.services.map(({ name }) =>
    sample({ service: name }, learned.filter(({ service }) => service === name).length),
  )
}

/** Bans in force, by scope and family. */
export function activeBans({ enforced, policy }: DaemonState): Sample[] {
  return byBanSet(policy, (service, family) => enforced.ledger.size(service, family))
}

/** Something that `count` knows of each service and family. */
export function byHoldSet({ policy }: Pick<DaemonState, 'policy'>, count: CountOfSet): Sample[] {
  return bySet(
    policy.services.map(({ name }) => name),
    count,
  )
}

function byBanSet(policy: Policy, count: CountOfSet): Sample[] {
  return bySet([ALL_PORTS, ...policy.services.map(({ name }) => name)], count)
}

type CountOfSet = (service: string, family: Family) => number

function bySet(services: readonly string[], count: CountOfSet): Sample[] {
  return services.flatMap((service) =>
    ([4, 6] as const).map((family) => sample({ service, family: `ipv${family}` }, count(service, family))),
  )
}
