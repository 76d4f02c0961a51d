import type { Policy, PortRange, Protocol } from '../config/policy.ts'
import type { Family } from '../net/prefix.ts'
import { allowSetName, banSetName, holdSetName, type Table } from './names.ts'
import { shardBytecode } from './shard.ts'

/**
 * The rules of our chain in each table, in order, each as iptables-save prints it behind `-A CHAIN `:
 * iptables-nft and iptables-legacy both print exactly this text back (a kernel test holds them to it).
 */
export type FamilyRules = Readonly<Record<Table, readonly string[]>>

/** What the multiport match takes in one rule (XT_MULTI_PORTS); a range counts twice. */
const MULTIPORT_SLOTS = 15

/**
 * The rules for `policy` in one family. Bans come in `raw`, before the kernel spends conntrack on them;
 * NFQUEUE comes in `mangle`, so that an accepted packet still meets every rule of `nat` and `filter`.
 */
export function firewallRules(policy: Policy, family: Family, shardConstant: number): FamilyRules {
  const allowed = `-m set --match-set ${allowSetName(family)} src -j RETURN`
  return {
    raw: [allowed, ...banRules(policy, family), ...holdRules(policy, family)],
    mangle: [allowed, ...queueRules(policy, family, shardConstant)],
  }
}

function banRules(policy: Policy, family: Family): string[] {
  // Neighbour discovery is ICMPv6: without it a banned /64 on our own link would take its router down with it.
  const exceptIcmp6 = family === 6 ? '! -p ipv6-icmp ' : ''
  const everyPort = `${exceptIcmp6}${banMatch('all', family)} -j DROP`
  const byService = policy.services.flatMap((service) =>
    portMatches(service.ports).map(({ match }) => `${match} ${banMatch(service.name, family)} -j DROP`),
  )
  return [everyPort, ...byService]
}

function banMatch(scope: string, family: Family): string {
  return `-m set --match-set ${banSetName(scope, family)} src`
}

/**
 * A hold takes from the queue what would come there, and nothing else: of TCP only the SYNs, so that open
 * connections of the source, or of its network, go on.
 */
function holdRules(policy: Policy, family: Family): string[] {
  if (policy.holds === undefined) return []
  return policy.services.flatMap(({ name, ports }) =>
    portMatches(ports).map(({ match }) => {
      const packets = match.replace('-p tcp', SYN)
      return `${packets} -m set --match-set ${holdSetName(name, family)} src ${ALL_BUT_A_SAMPLE} -j DROP`
    }),
  )
}

function queueRules(policy: Policy, family: Family, shardConstant: number): string[] {
  const matches = portMatches(policy.services.flatMap((service) => service.ports))
  const queues = matches.flatMap(({ protocol, match }) => {
    const packets = protocol === 'tcp' ? match.replace('-p tcp', NEW_CONNECTION) : match
    return Array.from({ length: policy.threads }, (_, thread) => {
      const shard = `-m bpf --bytecode "${shardBytecode(family, shardConstant, thread, policy.threads)}"`
      const selected = policy.threads > 1 ? `${packets} ${shard}` : packets
      return `${selected} -j NFQUEUE --queue-num ${policy.queue.first + thread} --queue-bypass`
    })
  })
  return matches.some(({ protocol }) => protocol === 'tcp') ? queues : [TRACK, ...queues]
}

/** SYN set and ACK clear: a SYN with ECN bits counts too. */
const SYN = '-p tcp -m tcp --tcp-flags SYN,ACK SYN'

/** UNTRACKED is there for hosts that exempt a port from conntrack. */
const NEW_CONNECTION = `${SYN} -m conntrack --ctstate NEW,UNTRACKED`

/** One packet in 64 still comes to the queue: it shows the path that the flood goes on. */
const ALL_BUT_A_SAMPLE = '-m statistic --mode nth ! --every 64 --packet 0'

/**
 * Does nothing but ask for conntrack: while it tracks, the kernel reassembles fragments before our rules
 * see them, so that nobody hides his ports in a second fragment. Where TCP is queued, those rules ask.
 */
const TRACK = '-p udp -m conntrack --ctstate NEW'

/** Matches that cover `ports`: by protocol, as few as multiport allows. */
function portMatches(ports: readonly PortRange[]): { protocol: Protocol; match: string }[] {
  return (['tcp', 'udp'] as const).flatMap((protocol) =>
    chunks(ports.filter((range) => range.protocol === protocol)).map((chunk) => ({
      protocol,
      match: `-p ${protocol} -m multiport --dports ${chunk.join(',')}`,
    })),
  )
}

function chunks(ports: readonly PortRange[]): string[][] {
  const result: string[][] = []
  let free = 0
  for (const { first, last } of ports) {
    const slots = first === last ? 1 : 2
    if (slots > free) {
      result.push([])
      free = MULTIPORT_SLOTS
    }
    result.at(-1)?.push(first === last ? `${first}` : `${first}:${last}`)
    free -= slots
  }
  return result
}
