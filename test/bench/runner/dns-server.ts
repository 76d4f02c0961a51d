import { startBind } from '../../lib/bind.ts'
import { type Arena, droppedBy, FLOOD_NETWORKS, iptables } from './arena.ts'
import { CLIENT_NETWORKS, FORWARD_NAMES, REVERSE_ADDRESSES } from './dns-clients.ts'

/** How Response Rate Limiting is set up that sluice is compared with. */
const RATE_LIMIT = 'rate-limit { responses-per-second 20; };'

/** Hosts of 2001:db8:1::/48 that have names: the ends of what a walk of ip6.arpa can find. */
const NAMED_NIBBLES = '0123456789abcdef'

/**
 * BIND on an arena's server, with one thread. All of its names exist: response rate limiting takes the names of one
 * wildcard for one name, and would refuse honest clients for that.
 *
 * @param limited with its own rate limiting
 */
export async function serveNames(arena: Arena, limited: boolean): Promise<void> {
  const { server, sender } = arena
  // Queries shall come to BIND, and its answers to those who asked, or are said to have.
  for (const family of [4, 6] as const) {
    server.run(iptables(family), '-F', 'INPUT')
    server.run(iptables(family), ...'-A INPUT -p udp --dport 53 -j ACCEPT'.split(' '))
    for (const network of [FLOOD_NETWORKS[family], CLIENT_NETWORKS[family]]) {
      server.run('ip', `-${family}`, 'route', 'add', network, 'via', family === 4 ? sender.ipv4 : sender.ipv6)
    }
  }
  const sweep = Array.from({ length: 256 }, (_, i) => `$GENERATE 0-255 $.${i} PTR host-${i}-$.example.test.`)
  const zones = {
    'site.test': `$GENERATE 0-${FORWARD_NAMES - 1} n$ A 192.0.2.80`,
    'in-addr.arpa': REVERSE_ADDRESSES.map((name) => `${name} PTR host.example.test.`).join('\n'),
    '18.198.in-addr.arpa': sweep.join('\n'),
    '1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa': [...NAMED_NIBBLES]
      .map((nibble) => `${`${nibble}.`.repeat(19)}${nibble} PTR host6.example.test.`)
      .join('\n'),
  }
  await startBind(server, { zones, options: `empty-zones-enable no; ${limited ? RATE_LIMIT : ''}` })
}

/** Queries that have come to BIND so far, whether it got round to them or not. */
export function reached(arena: Arena): number {
  return droppedBy(arena.server, 'filter', 'ACCEPT') + droppedBy(arena.server, 'filter', 'ACCEPT', 6)
}
