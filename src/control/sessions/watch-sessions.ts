import { readFileSync } from 'node:fs'
import type { Policy, PortRange } from '../../config/policy.ts'
import { formatPrefix, type Prefix } from '../../net/prefix.ts'
import { hostAddresses } from '../allow/host-addresses.ts'
import { judgeProven } from '../bans/promotions.ts'
import { proveResolvers } from '../dns/follow-slip.ts'
import { judgeSessions, outcomeOf } from '../evidence/judge-sessions.ts'
import type { Log } from '../log/log.ts'
import type { DaemonState } from '../state.ts'
import type { Session } from './session.ts'
import type { SessionNews } from './session-tracker.ts'
import { SessionWatch } from './session-watch.ts'

/** An open one costs 1.2 kB, a closed one 120 bytes for the two minutes that conntrack keeps it. */
const TRACKED_MAX = 65_536

/** Addresses come and go; asking the system costs some 50 us. */
const ADDRESSES_MS = 5000

/** Of both families. `0`: our side has none, whatever the client says. */
const TIMESTAMPS_SETTING = '/proc/sys/net/ipv4/tcp_timestamps'

export interface WatchSessionsOptions {
  readonly policy: Policy
  readonly log: Log
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** `undefined` while the daemon is starting. */
  readonly state: () => DaemonState | undefined
}

/** The daemon's eye on the sessions of its services. */
export function watchSessions({ policy, log, now, state }: WatchSessionsOptions): SessionWatch {
  let own = new Set<string>()
  let isOff = false
  let ownAtMs = Number.NEGATIVE_INFINITY
  const refresh = () => {
    if (now() - ownAtMs <= ADDRESSES_MS) return
    own = new Set(hostAddresses().map((each) => each.address))
    isOff = areTimestampsOff()
    ownAtMs = now()
  }
  const isOwn = (address: Prefix) => {
    refresh()
    const text = formatPrefix(address)
    return text === '::1' || text.startsWith('127.') || own.has(text)
  }
  return new SessionWatch({
    max: TRACKED_MAX,
    ports: tcpPorts(policy),
    serviceAt: (port) => serviceAt(state()?.policy ?? policy, port),
    isOwn,
    hasTimestamps: (source, port) => {
      refresh()
      return isOff ? false : state()?.threads.hasTimestamps(source, port)
    },
    hasSucceeded: (session) => {
      const known = state()
      return known !== undefined && outcomeOf(session, known) === 'succeeded'
    },
    now,
    unixNow: Date.now,
    log,
    onNews: (news) => {
      const known = state()
      if (known !== undefined && !known.serial.isClosed) takeNews(known, news)
    },
  })
}

function areTimestampsOff(): boolean {
  try {
    return readFileSync(TIMESTAMPS_SETTING, 'utf8').trim() === '0'
  } catch {
    return false
  }
}

/** The TCP ports of all services. */
export function tcpPorts(policy: Policy): PortRange[] {
  return policy.services.flatMap(({ ports }) => ports.filter(({ protocol }) => protocol === 'tcp'))
}

function serviceAt(policy: Policy, port: number): string | undefined {
  const holds = ({ protocol, first, last }: PortRange) => protocol === 'tcp' && first <= port && port <= last
  return policy.services.find(({ ports }) => ports.some(holds))?.name
}

/** `session of 192.0.2.1 at ssh: 3.1s, 20 packets and 3514 bytes to us, 16 and 3102 to it, without TCP timestamps` */
function inWords({ address, service, durationMs, hasTimestamps, toServer, toClient }: Session): string {
  const volumes = `${toServer.packets} packets and ${toServer.bytes} bytes to us, ${toClient.packets} and ${toClient.bytes} to it`
  const headers = hasTimestamps === undefined ? '' : `, with${hasTimestamps ? '' : 'out'} TCP timestamps`
  return `session of ${formatPrefix(address)} at ${service}: ${(durationMs / 1000).toFixed(1)}s, ${volumes}${headers}`
}

/** What follows from sessions that came to be, or are over. */
function takeNews(state: DaemonState, { assured, closed, succeeded }: SessionNews): void {
  for (const { service } of assured) state.sessionCounts.addAssured(service, 1)
  state.sessionCounts.addClosed(closed)
  for (const session of closed) state.log.debug('session', inWords(session))
  // While panic is on nobody is banned, whatever he has done before.
  if (state.panic.mark !== undefined) return
  // A server that was started just now may have been heard by nobody yet.
  if (assured.length > 0 && state.servers.isWaiting) void state.servers.refresh()
  proveResolvers(state, assured)
  judgeProven(
    state,
    assured.map(({ source }) => source),
  )
  // Whoever fails is likely to try again at once.
  if (judgeSessions(state, [...succeeded, ...closed])) state.sessions.hurry()
}
