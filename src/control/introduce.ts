import { describeRate } from '../config/explain.ts'
import type { HoldPolicy, Limit, Service } from '../config/policy.ts'
import { formatPorts } from '../config/values.ts'
import { formatPrefix } from '../net/prefix.ts'
import { httpOrigin } from './metrics/http.ts'
import { roughDuration } from './rough-duration.ts'
import { type DaemonState, modeOf } from './state.ts'

/** A policy may allow thousands; the log names the first few. */
const POLICY_ENTRIES_SHOWN = 20

/** Says what is in place, line by line, when the daemon is ready. */
export function introduce(state: DaemonState): void {
  const { log, policy, firewall, allow, threads } = state
  for (const line of firewall.describe()) log.info('in-place', line)
  const { length, failOpen } = policy.queue
  const queues = threads.all.map(({ queue }) => queue).join(', ')
  const full = failOpen ? 'packets pass when it is full' : 'packets are dropped when it is full'
  log.info('in-place', `queue   ${queues} bound, ${length} packets long, ${full}`)
  log.info('in-place', policy.holds ? holdsInWords(policy.holds) : 'holds   off')
  for (const service of policy.services) {
    log.info('service', serviceInWords(service, modeOf(policy, service)), { service: service.name })
  }
  const fromPolicy = allow.entries('policy')
  for (const { prefix, reason } of [
    ...fromPolicy.slice(0, POLICY_ENTRIES_SHOWN),
    ...allow.entries('host', 'session'),
  ]) {
    log.info('allow', `never banned: ${formatPrefix(prefix)}, ${reason}`)
  }
  const more = fromPolicy.length - POLICY_ENTRIES_SHOWN
  if (more > 0) log.info('allow', `never banned: ${more} more of the allow list of the policy`)
  introduceSessions(state)
  log.info('metrics', policy.metrics ? `metrics ${httpOrigin(policy.metrics)}/metrics` : 'metrics are off')
}

/** What of proofs and sessions this host lets us see; loud where that means that nobody is banned. */
function introduceSessions({ log, policy, firewall, sessions }: DaemonState): void {
  for (const note of firewall.notes()) log.warn('sessions', note)
  if (sessions.problem === undefined) {
    const { eventsProblem } = sessions
    if (eventsProblem !== undefined)
      log.warn('sessions', `sessions are seen once a second only: ${eventsProblem}`)
    const proof =
      policy.ban.proof === 'none' ? 'nobody has to prove his address' : 'only proven sources are banned'
    log.info('sessions', `sessions are seen by conntrack; ${proof}`)
    return
  }
  const meaning =
    policy.ban.proof === 'none'
      ? 'bans go by strikes alone'
      : 'NOBODY IS BANNED, since nobody can be proven; sources are limited as ever. To ban all the same, set ban.proof: none'
  log.error('sessions', `sessions cannot be seen (${sessions.problem}): ${meaning}`)
}

/** `service ssh (22/tcp): each source 6 at once, then 4 a minute; ...` */
function serviceInWords(service: Service, mode: 'enforce' | 'shadow'): string {
  const { name, ports, limits, ban } = service
  const parts = [
    limitInWords('each source', limits.source),
    limitInWords('each network', limits.network),
    limitInWords('all together', limits.total),
    limitInWords('each known good source', limits.known),
    ban && `ban after ${ban.strikes} refusals in ${roughDuration(ban.withinMs)}`,
    mode === 'shadow' ? 'shadow mode: nothing is dropped' : undefined,
  ]
  const known = parts.filter((part) => part !== undefined)
  return `service ${name} (${ports.map(formatPorts).join(', ')}): ${known.join('; ') || 'no limits'}`
}

function holdsInWords({ above, factor }: HoldPolicy): string {
  const filling = `while more than ${Math.round(above * 100)} % of a queue wait`
  return `holds   ${filling}, who is refused more than ${factor} times his limit is dropped for a second each time`
}

function limitInWords(who: string, limit: Limit | undefined): string | undefined {
  return limit && `${who} ${limit.burst} at once, then ${describeRate(limit.ratePerSecond)}`
}
