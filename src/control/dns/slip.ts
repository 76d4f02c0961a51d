import type { Policy } from '../../config/policy.ts'
import { formatPrefix, type Prefix } from '../../net/prefix.ts'
import { RecentMap } from '../recent-map.ts'
import type { TcpListener } from './tcp-listeners.ts'

/** A resolver comes back at once; a slow one takes a few seconds. */
const COMES_BACK_WITHIN_MS = 60_000

/** Sources that were asked to come back and are remembered; a rate of 1,000 answers a second fills it in a minute. */
const REMEMBERED = 65_536

/** What the daemon knows of those whom it has asked to come back over TCP. */
export class Slip {
  /** Why nobody is asked, in words; empty: who is refused is asked. */
  obstacle = ''
  /** Sources that came back and so were proven. */
  proven = 0
  readonly #asked = new RecentMap<string, number>(REMEMBERED)

  asked(source: Prefix, serviceSlot: number, atMs: number): void {
    this.#asked.set(`${formatPrefix(source)} ${serviceSlot}`, atMs)
  }

  /** Whether `source` was asked not long ago. The question is answered once. */
  comesBack(source: Prefix, serviceSlot: number, nowMs: number): boolean {
    const key = `${formatPrefix(source)} ${serviceSlot}`
    const atMs = this.#asked.get(key)
    this.#asked.delete(key)
    return atMs !== undefined && nowMs - atMs < COMES_BACK_WITHIN_MS
  }
}

/** `policy` as it can be carried out now: nobody is asked to come back to where nobody would answer him. */
export function withSlip(policy: Policy, slip: Slip): Policy {
  return slip.obstacle === '' ? policy : { ...policy, dns: { ...policy.dns, slip: 0 } }
}

/** Why refused queries cannot be answered under `policy` now, in words; empty: they can. */
export function slipObstacle(
  policy: Policy,
  replyFailure: string | undefined,
  listeners: () => readonly TcpListener[],
): string {
  if (policy.dns.slip === 0) return ''
  if (replyFailure !== undefined) return `raw sockets: ${replyFailure} (is CAP_NET_RAW missing?)`
  const listening = listeners().filter(({ isLoopback }) => !isLoopback)
  const deaf = policy.services
    .filter(({ dns }) => dns)
    .flatMap(({ ports }) => ports.filter(({ protocol }) => protocol === 'tcp'))
    .filter(({ first, last }) => !listening.some(({ port }) => first <= port && port <= last))
  return deaf.length === 0 ? '' : `nobody listens on ${deaf.map(({ first }) => `${first}/tcp`).join(', ')}`
}
