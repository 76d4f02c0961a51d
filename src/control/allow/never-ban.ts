import { readFileSync } from 'node:fs'
import type { Policy } from '../../config/policy.ts'
import { formatPrefix, parsePrefix } from '../../net/prefix.ts'
import type { AllowEntry, AllowOrigin } from './allow-list.ts'
import { establishedPeers } from './established-peers.ts'
import { gateways4, gateways6 } from './gateways.ts'
import { hostAddresses } from './host-addresses.ts'
import { resolvers } from './resolvers.ts'

const SSH_PORT = 22

/**
 * Sources that must never be locked out, as the host knows them now: loopback, its own addresses, its
 * gateways and its resolvers. A file that is not there adds nothing.
 */
export function hostEntries(): AllowEntry[] {
  return merge([
    entry('127.0.0.0/8', 'loopback'),
    entry('::1', 'loopback'),
    ...hostAddresses().map((own) => entry(own.address, `own address on ${own.interface}`)),
    ...gateways4(read('/proc/net/route')).map((address) => entry(address, 'gateway')),
    ...gateways6(read('/proc/net/ipv6_route')).map((address) => entry(address, 'gateway')),
    ...resolvers(read('/etc/resolv.conf')).map((address) => entry(address, 'resolver')),
    // Where /etc/resolv.conf names only systemd's stub, the real ones are here.
    ...resolvers(read('/run/systemd/resolve/resolv.conf')).map((address) => entry(address, 'resolver')),
  ])
}

/**
 * Peers of the SSH sessions that are open now: whoever starts sluice over SSH must not lock himself out.
 * Only their very addresses, not the /64: a neighbour of the administrator has no such claim.
 */
export function sessionEntries(policy: Policy): AllowEntry[] {
  const ports = policy.services
    .filter(({ name }) => name === 'ssh')
    .flatMap((service) => service.ports.filter(({ protocol }) => protocol === 'tcp'))
  const isSsh = (port: number) =>
    port === SSH_PORT || ports.some(({ first, last }) => first <= port && port <= last)
  const peers = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => establishedPeers(read(file), isSsh))
  return merge(peers.map((address) => entry(address, 'SSH session open when sluice started', 'session')))
}

/** The allow list of the policy. */
export function policyEntries(policy: Policy): AllowEntry[] {
  return policy.allow.map((prefix) => ({ prefix, origin: 'policy', reason: 'allow list of the policy' }))
}

function entry(text: string, reason: string, origin: AllowOrigin = 'host'): AllowEntry {
  return { prefix: parsePrefix(text), origin, reason }
}

/** One entry for each prefix, with all of its reasons. */
function merge(entries: readonly AllowEntry[]): AllowEntry[] {
  const merged = new Map<string, AllowEntry>()
  for (const each of entries) {
    const key = formatPrefix(each.prefix)
    const known = merged.get(key)
    const reasons = new Set([...(known?.reason.split(', ') ?? []), each.reason])
    merged.set(key, { ...each, reason: [...reasons].join(', ') })
  }
  return [...merged.values()]
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
