import { ownQueriesQueue, type Policy, type Protocol, thinsFloods } from '../config/policy.ts'
import type { Iptables } from './iptables.ts'
import { CHAINS, chainsOf } from './names.ts'
import { firewallRules } from './rules.ts'

/** What `up` put in place, a line each for the chains, the sets and the queues. */
export function describeFirewall(policy: Policy, tools: readonly Iptables[]): string[] {
  const families = tools.map(({ family }) => `IPv${family}`).join(' and ')
  const kinds = [...new Set(tools.map(({ kind }) => `iptables-${kind}`))].join(', ')
  const suffix = tools.length > 1 ? '{4,6}' : `${tools[0]?.family}`
  const services = policy.services.map(({ name }) => name)
  const held = policy.holds === undefined ? '' : `, sluice-hold-{${services.join(',')}}-${suffix}`
  const flooded = thinsFloods(policy) ? `, sluice-{flood,spared}-${suffix}` : ''
  const last = policy.queue.first + policy.threads - 1
  const queues = policy.threads > 1 ? `queues ${policy.queue.first} to ${last}` : `queue ${last}`
  const ports = (['tcp', 'udp'] as const).flatMap((protocol) => portsOf(policy, protocol))
  return [
    `chains  ${chainsInWords(policy)} (${kinds}, ${families})`,
    `sets    sluice-allow-${suffix}, sluice-ban-{${['all', ...services].join(',')}}-${suffix}${held}${flooded}`,
    `queue   ${ports.join(', ')} -> ${queues}`,
    ...(policy.dns.induced === undefined
      ? []
      : [`queue   own queries to udp 53 -> queue ${ownQueriesQueue(policy)}, only read`]),
    ...(tools.some(({ family }) => family === 6) ? [] : ['IPv6    none in this kernel: IPv4 only']),
  ]
}

/** `SLUICE-BAN in raw, SLUICE in mangle, first in PREROUTING`, and the same of OUTPUT where there are any. */
function chainsInWords(policy: Policy): string {
  const rules = firewallRules(policy, 4, 1)
  const used = chainsOf()
    .filter((chain) => rules[chain].length > 0)
    .map((chain) => CHAINS[chain])
  return (['PREROUTING', 'OUTPUT'] as const)
    .map((hook) => used.filter((each) => each.hook === hook))
    .filter((chains) => chains.length > 0)
    .map(
      (chains) =>
        `${chains.map(({ name, table }) => `${name} in ${table}`).join(', ')}, first in ${chains[0]?.hook}`,
    )
    .join('; ')
}

function portsOf(policy: Policy, protocol: Protocol): string[] {
  const ports = policy.services
    .flatMap((service) => service.ports)
    .filter((range) => range.protocol === protocol)
    .map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`))
  return ports.length === 0 ? [] : [`${protocol} ${ports.join(',')}`]
}
