import { type Family, formatPrefix, type Prefix } from '../../net/prefix.ts'
import type { HeavyHitter, HeavyHitters } from '../../path/heavy-hitters.ts'
import { sourcePrefix } from '../../path/source-ring.ts'
import type { DaemonState } from '../state.ts'
import { pathClockMs } from '../threads/path-clock.ts'
import type { PathThread } from '../threads/path-thread.ts'
import { lookupsAlarm, UNSOLICITED_ALARM, unsolicitedAnswers } from './dns-alarms.ts'
import { hostReverseRate } from './reverse-floods.ts'

const SHOWN = 10

/**
 * What `sluice status --dns` shows. Counts of sources and networks are of the last ten to twenty minutes, and lower bounds,
 * or estimates of those where there are many (`HeavyHitters`).
 */
export interface DnsReport {
  /** Who sends most queries to the DNS services. */
  readonly queriers: readonly { readonly source: string; readonly queries: number }[]
  /** IPv4 /24 and IPv6 /48 whose names are asked for most, by clients and by this host itself. */
  readonly reverseNetworks: readonly { readonly network: string; readonly queries: number }[]
  /** Clients that make this host look up names. */
  readonly causes: readonly { readonly source: string; readonly service: string; readonly lookups: number }[]
  /** Reverse queries of all clients; `null`: floods of them are not looked for. */
  readonly reverse: {
    readonly perSecond: number
    /** More a second are a flood. */
    readonly threshold: number
    readonly isFlooded: boolean
    /** Families whose flood the kernel thins out, since it fills the queue. */
    readonly thinned: readonly Family[]
  } | null
  /** Answers that nobody asked for, in the last whole minute. */
  readonly unsolicited: { readonly perSecond: number; readonly sources: number; readonly alarm: boolean }
  /** Whether refused queries are asked to come back over TCP; `obstacle`: why they are not, though they should. */
  readonly slip: { readonly oneIn: number; readonly obstacle: string | null; readonly proven: number }
  /** `null`: the policy does not want to know. */
  readonly induced: {
    readonly services: readonly {
      readonly service: string
      readonly total: number
      readonly lastHour: number
      readonly alarm: boolean
    }[]
    /** Lookups of addresses that have not been here. */
    readonly unexplained: number
  } | null
}

export function dnsReport(state: DaemonState): DnsReport {
  const { policy, threads, induced, alarms, slots, slip, thinning } = state
  const answers = unsolicitedAnswers(state)
  const nowMs = pathClockMs()
  const { perSecond, threshold, isFlooded } = hostReverseRate(threads.reverseRates(nowMs))
  const nameOf = (slot: number) => slots.nameOf(slot)
  return {
    queriers: topOf(threads.all, (thread) => thread.queriers, nowMs).map((each) => ({
      source: formatPrefix(sourceOf(each)),
      queries: each.count,
    })),
    reverseNetworks: topOf(threads.all, (thread) => thread.reverseNetworks, nowMs).map((each) => ({
      network: formatPrefix({ ...sourceOf(each), length: each.detail }),
      queries: each.count,
    })),
    causes: induced
      .causes(SHOWN, nameOf, nowMs)
      .map(({ source, ...rest }) => ({ source: formatPrefix(source), ...rest })),
    reverse:
      policy.dns.flood === undefined
        ? null
        : {
            perSecond,
            threshold,
            isFlooded,
            thinned: ([4, 6] as const).filter((family) => thinning.isOn(family)),
          },
    unsolicited: {
      perSecond: answers.count / 60,
      sources: answers.sources,
      alarm: alarms.isOn(UNSOLICITED_ALARM),
    },
    slip: { oneIn: policy.dns.slip, obstacle: slip.obstacle || null, proven: slip.proven },
    induced:
      policy.dns.induced === undefined
        ? null
        : {
            services: policy.services
              .map(({ name }) => ({
                service: name,
                total: induced.count(name).total,
                lastHour: induced.count(name).lastHour(nowMs),
                alarm: alarms.isOn(lookupsAlarm(name)),
              }))
              .filter(({ total }) => total > 0),
            unexplained: induced.unexplained,
          },
  }
}

/** Of all threads together: a network asked for may be counted by several. */
function topOf(
  threads: readonly PathThread[],
  pick: (thread: PathThread) => HeavyHitters,
  nowMs: number,
): HeavyHitter[] {
  const sums = new Map<string, HeavyHitter>()
  for (const hitter of threads.flatMap((thread) => pick(thread).top(Number.POSITIVE_INFINITY, nowMs))) {
    const { high, low, family, detail, count } = hitter
    const key = `${high} ${low} ${family} ${detail}`
    sums.set(key, { ...hitter, count: count + (sums.get(key)?.count ?? 0) })
  }
  return [...sums.values()].sort((a, b) => b.count - a.count).slice(0, SHOWN)
}

function sourceOf({ family, high, low }: HeavyHitter): Prefix {
  return sourcePrefix(family, high, low)
}
