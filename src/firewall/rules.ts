import {
  dnsPorts,
  ownQueriesQueue,
  type Policy,
  type PortRange,
  type Protocol,
  thinsFloods,
} from '../config/policy.ts'
import type { Family } from '../net/prefix.ts'
import {
  allowSetName,
  banSetName,
  type Chain,
  floodSetName,
  holdSetName,
  REPLY_MARK,
  sparedSetName,
} from './names.ts'
import { shardBytecode } from './shard.ts'

/**
 * The rules of each of our chains, in order, each as iptables-save prints it behind `-A CHAIN `: iptables-nft
 * and iptables-legacy both print exactly this text back (a kernel test holds them to it). A chain without
 * rules is not there.
 */
export type FamilyRules = Readonly<Record<Chain, readonly string[]>>

/** Rules for which a kernel may lack an extension. Without them sluice does the same with more work. */
export interface Extensions {
  /** xt_CT, and nobody else's rules with it. */
  readonly marksEvents: boolean
  /** xt_string. */
  readonly thinsFlood: boolean
}

export const EVERYTHING: Extensions = { marksEvents: true, thinsFlood: true }

/** What the multiport match takes in one rule (XT_MULTI_PORTS); a range counts twice. */
const MULTIPORT_SLOTS = 15

/**
 * The rules for `policy` in one family. Holds and bans come in `raw`, before the kernel spends conntrack on them;
 * NFQUEUE comes in `mangle`, so that an accepted packet still meets every rule of `nat` and `filter`.
 *
 * Every packet of the host meets these rules, so what costs least is asked first: of one that is neither banned nor ours
 * one set is asked, that of the banned. Whether a source is allowed is asked at the end of each rule that would do
 * something about it.
 *
 * @param given what the kernel has.
 */
export function firewallRules(
  policy: Policy,
  family: Family,
  shardConstant: number,
  { marksEvents, thinsFlood }: Extensions = EVERYTHING,
): FamilyRules {
  const events = marksEvents ? eventRules(policy) : []
  return {
    raw: [
      ...untracked(policy, 'dports'),
      ...holdRules(policy, family),
      ...banRules(policy, family),
      ...(thinsFlood ? floodRules(policy, family) : []),
      ...events,
    ],
    rawOutput: [
      ...untracked(policy, 'sports'),
      ...(marksEvents && policy.dns.slip > 0 ? [UNTRACKED_REPLY] : []),
    ],
    mangle: queueRules(policy, family, shardConstant),
    mangleOutput: policy.dns.induced === undefined ? [] : [ownQueries(policy)],
  }
}

function banRules(policy: Policy, family: Family): string[] {
  // Neighbour discovery is ICMPv6: without it a banned /64 on our own link would take its router down with it.
  const exceptIcmp6 = family === 6 ? '! -p ipv6-icmp ' : ''
  const everyPort = `${exceptIcmp6}${banMatch('all', family)} ${unlessAllowed(family)} -j DROP`
  const byService = policy.services.flatMap((service) =>
    portMatches(service.ports).map(
      ({ match }) => `${match} ${banMatch(service.name, family)} ${unlessAllowed(family)} -j DROP`,
    ),
  )
  return [everyPort, ...byService]
}

function unlessAllowed(family: Family): string {
  return `-m set ! --match-set ${allowSetName(family)} src`
}

function banMatch(scope: string, family: Family): string {
  return `-m set --match-set ${banSetName(scope, family)} src`
}

/**
 * They come before the bans: a flood that is held needs no look into the sets of the banned, and is dropped a tenth
 * faster (docs/performance.md).
 *
 * A hold takes from the queue what would come there, and nothing else: of TCP only the SYNs, so that open
 * connections of the source, or of its network, go on.
 */
function holdRules(policy: Policy, family: Family): string[] {
  if (policy.holds === undefined) return []
  return policy.services.flatMap(({ name, ports }) =>
    portMatches(ports).map(({ match }) => {
      const packets = match.replace('-p tcp', SYN)
      const held = `-m set --match-set ${holdSetName(name, family)} src ${unlessAllowed(family)}`
      return `${packets} ${held} ${ALL_BUT_A_SAMPLE} -j DROP`
    }),
  )
}

/**
 * In a flood of reverse queries from everywhere that the queue cannot carry, one stranger's query in 8 still comes to it.
 * The rule looks for the end of the name, in upper and lower case, as it is on the wire.
 */
function floodRules(policy: Policy, family: Family): string[] {
  if (!thinsFloods(policy)) return []
  const sets =
    `-m set --match-set ${floodSetName(family)} src -m set ! --match-set ${sparedSetName(family)} src ` +
    unlessAllowed(family)
  return chunks(dnsPorts(policy)).flatMap((chunk) =>
    REVERSE_ZONES.map(
      (zone) =>
        `-p udp -m multiport --dports ${chunk.join(',')} ${sets} ` +
        `-m string --hex-string "|${zone}|" --algo bm --icase ${ALL_BUT_FEW} -j DROP`,
    ),
  )
}

/** in-addr.arpa and ip6.arpa as labels, with the root behind them. */
const REVERSE_ZONES = ['07696e2d61646472046172706100', '03697036046172706100']

/**
 * With `dns.notrack` the queries that come to our DNS service, and its answers, cost no connection entry. The
 * host's own queries and the answers to them are tracked as ever: by that they are told from unsolicited ones.
 */
function untracked(policy: Policy, side: 'dports' | 'sports'): string[] {
  if (!policy.dns.notrack) return []
  return chunks(dnsPorts(policy)).map(
    (chunk) => `-p udp -m multiport --${side} ${chunk.join(',')} -j CT --notrack`,
  )
}

/**
 * Of connections to our services, conntrack tells when one is assured and when it is forgotten, and nothing
 * else: half-open ones, of which a flood has many, cost no event.
 */
function eventRules(policy: Policy): string[] {
  return portMatches(policy.services.flatMap((service) => service.ports))
    .filter(({ protocol }) => protocol === 'tcp')
    .map(({ match }) => `${match.replace('-p tcp', SYN)} -j CT --ctevents destroy,assured`)
}

function queueRules(policy: Policy, family: Family, shardConstant: number): string[] {
  const matches = portMatches(policy.services.flatMap((service) => service.ports))
  const toServices = matches.map(({ protocol, match }) =>
    protocol === 'tcp' ? match.replace('-p tcp', NEW_CONNECTION) : match,
  )
  const queued = [...toServices, ...(policy.dns.unsolicited === undefined ? [] : [UNSOLICITED])]
  const queues = queued.flatMap((packets) =>
    Array.from({ length: policy.threads }, (_, thread) => {
      const shard = `-m bpf --bytecode "${shardBytecode(family, shardConstant, thread, policy.threads)}"`
      const selected = policy.threads > 1 ? `${packets} ${shard}` : packets
      return `${selected} ${unlessAllowed(family)} -j NFQUEUE --queue-num ${policy.queue.first + thread} --queue-bypass`
    }),
  )
  const hasUdp = matches.some(({ protocol }) => protocol === 'udp')
  return hasUdp ? [ANSWER, ...queues] : queues
}

/** SYN set and ACK clear: a SYN with ECN bits counts too. */
const SYN = '-p tcp -m tcp --tcp-flags SYN,ACK SYN'

/** UNTRACKED is there for hosts that exempt a port from conntrack. */
const NEW_CONNECTION = `${SYN} -m conntrack --ctstate NEW,UNTRACKED`

/**
 * An answer to what this host has asked itself passes, also where it has asked from the port of a service, as
 * old resolvers do. The rule asks for conntrack besides: while it tracks, the kernel reassembles fragments
 * before our rules see them, so that nobody hides his ports in a second fragment. (So do the rules for TCP.)
 */
const ANSWER = '-p udp -m udp --sport 53 -m conntrack --ctstate ESTABLISHED --ctdir REPLY -j RETURN'

/** An answer that nobody asked for: what a reflector sends to the victim in whose name it was asked. */
const UNSOLICITED = '-p udp -m udp --sport 53 -m conntrack --ctstate NEW'

/** What this host asks itself, also of a resolver on loopback: only read, and not even that where nobody listens. */
function ownQueries(policy: Policy): string {
  return `-p udp -m udp --dport 53 -j NFQUEUE --queue-num ${ownQueriesQueue(policy)} --queue-bypass`
}

/**
 * The query that sluice answers was dropped: conntrack would take the answer for the first packet of a connection
 * of ours, one for each forged address, and the client's next query for an answer to that.
 */
const UNTRACKED_REPLY = `-p udp -m mark --mark 0x${REPLY_MARK.toString(16)} -j CT --notrack`

/** One packet in 64 still comes to the queue: it shows the path that the flood goes on. */
const ALL_BUT_A_SAMPLE = '-m statistic --mode nth ! --every 64 --packet 0'

/** Of a million queries a second that leaves the queue half of what it can carry. */
const ALL_BUT_FEW = '-m statistic --mode nth ! --every 8 --packet 0'

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
