import type { Policy, Protocol } from '../config/policy.ts'
import type { Iptables } from './iptables.ts'
import { CHAINS } from './names.ts'

/** What `up` put in place, a line each for the chains, the sets and the queues. */
export function describeFirewall(policy: Policy, tools: readonly Iptables[]): string[] {
  const families = tools.map(({ family }) => `IPv${family}`).join(' and ')
  const kinds = [...new Set(tools.map(({ kind }) => `iptables-${kind}`))].join(', ')
  const suffix = tools.length > 1 ? '{4,6}' : `${tools[0]?.family}`
  const services = policy.services.map(({ name }) => name)
  const held = policy.holds === undefined ? '' : `, sluice-hold-{${services.join(',')}}-${suffix}`
  const last = policy.queue.first + policy.threads - 1
  const queues = policy.threads > 1 ? `queues ${policy.queue.first} to ${last}` : `queue ${last}`
  const ports = (['tcp', 'udp'] as const).flatMap((protocol) => portsOf(policy, protocol))
  return [
    `chains  ${CHAINS.raw} in raw, ${CHAINS.mangle} in mangle, first in PREROUTING (${kinds}, ${families})`,
    `sets    sluice-allow-${suffix}, sluice-ban-{${['all', ...services].join(',')}}-${suffix}${held}`,
    `queue   ${ports.join(', ')} -> ${queues}`,
    ...(tools.some(({ family }) => family === 6) ? [] : ['IPv6    none in this kernel: IPv4 only']),
  ]
}

function portsOf(policy: Policy, protocol: Protocol): string[] {
  const ports = policy.services
    .flatMap((service) => service.ports)
    .filter((range) => range.protocol === protocol)
    .map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`))
  return ports.length === 0 ? [] : [`${protocol} ${ports.join(',')}`]
}
