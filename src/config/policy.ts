import type { Prefix } from '../net/prefix.ts'

/** What a loaded policy file means: every default filled in, every unit in the name. See rules/sluice.yaml. */
export interface Policy {
  readonly mode: Mode
  readonly threads: number
  /** Sources that are tracked at the same time, over all path threads. */
  readonly sources: number
  readonly queue: QueuePolicy
  /** 1 to 32, in the order of the file; each port belongs to one of them at most. */
  readonly services: readonly Service[]
  readonly ban: BanPolicy
  /** `undefined`: no source is held. */
  readonly holds: HoldPolicy | undefined
  readonly dns: DnsPolicy
  /** `undefined`: nobody is known good. */
  readonly trust: TrustPolicy | undefined
  /** `undefined`: no network is banned for its parts. */
  readonly networks: NetworkPolicy | undefined
  readonly allow: readonly Prefix[]
  readonly firewall: { readonly backend: Backend; readonly checkMs: number }
  /** `undefined`: no metrics are served. */
  readonly metrics: { readonly address: string; readonly port: number } | undefined
  readonly control: { readonly socket: string; readonly group: string }
  /** `undefined`: nothing is remembered over a restart. */
  readonly state: { readonly directory: string } | undefined
  readonly log: { readonly level: LogLevel; readonly format: LogFormat }
}

/** `shadow` decides, counts and reports like `enforce`, and accepts. */
export type Mode = 'enforce' | 'shadow'
export type Backend = 'auto' | 'nft' | 'legacy'
export type Protocol = 'tcp' | 'udp'
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
type LogFormat = 'auto' | 'json' | 'pretty'

interface QueuePolicy {
  /** Number of the first NFQUEUE; thread n listens on `first + n`. */
  readonly first: number
  /** Packets; the kernel's cap is 65,535. */
  readonly length: number
  readonly copyBytes: number
  /** Let packets pass while the queue is full. */
  readonly failOpen: boolean
  readonly socketBufferBytes: number
}

export interface Service {
  readonly name: string
  readonly ports: readonly PortRange[]
  readonly mode: Mode
  /** Datagrams to its UDP ports are DNS queries. */
  readonly dns: boolean
  /** `undefined`: no such limit. */
  readonly limits: {
    readonly source: Limit | undefined
    readonly network: Limit | undefined
    readonly total: Limit | undefined
    /** In place of `source`, and free of the other two, for sources known good; `undefined`: nobody is. */
    readonly known?: Limit | undefined
  }
  /** How many refusals within which time make an offender; `undefined`: nobody is banned over this service. */
  readonly ban: { readonly strikes: number; readonly withinMs: number } | undefined
  /** How many failed logins make an offender; `undefined`: they don't count. */
  readonly failures: FailurePolicy | undefined
  /** How its sessions are judged; `undefined`: they are not. */
  readonly outcome: OutcomeModel | undefined
}

/** What tells a failed session of a kind of service from one that succeeded: see docs/outcomes.md. */
export type OutcomeModel = LoginModel | MailModel

export type OutcomeKind = OutcomeModel['kind']

/** Of SSH servers. Bytes are those of TCP payload that the server sent, unless it says otherwise. */
export interface LoginModel {
  readonly kind: 'ssh' | 'dropbear'
  /** With less nobody can have tried to log in. */
  readonly leastBytes: number
  /** Failed sessions have this at most. */
  readonly failedBytes: number
  /** When the client has sent so much, its keys were large, and the server's answer was. */
  readonly largeFromBytes: number
  /** Then failed sessions have this at least, that at most, and so few packets from the client. */
  readonly largeLeastBytes: number
  readonly largeFailedBytes: number
  readonly largeFailedPackets: number
  /** From here on, a session has succeeded. */
  readonly succeededBytes: number
  /** A session that lasts longer has succeeded: servers end those who have not logged in by then. */
  readonly graceMs: number
  /**
   * What a server with these bounds sends before anything else, its greeting and its KEXINIT: they move with
   * what that of this host sends. `undefined`: they stand as they are.
   */
  readonly openingBytes: number | undefined
}

/** Of mail servers. Bytes are those of TCP payload that the client sent. */
export interface MailModel {
  readonly kind: 'smtp' | 'submission'
  /** From here on, a mail was among it. */
  readonly succeededBytes: number
  /** Failed sessions have so many packets from the client at least; `Infinity`: none is called failed. */
  readonly failedPackets: number
  /** And so few bytes in each of them. */
  readonly failedBytesPerPacket: number
}

export interface PortRange {
  readonly protocol: Protocol
  readonly first: number
  readonly last: number
}

/** A token bucket: `burst` tokens at most, `ratePerSecond` new ones a second. */
export interface Limit {
  readonly burst: number
  readonly ratePerSecond: number
}

/** What holds for the queries of all services with `dns`, in addition to their own limits. */
export interface DnsPolicy {
  /** For PTR queries below in-addr.arpa and ip6.arpa. */
  readonly reverse: DnsLimits
  /** For payloads that are no valid query. */
  readonly malformed: DnsLimits
  /** `undefined`: no sweep is looked for. */
  readonly sweep: SweepPolicy | undefined
  /** `undefined`: the host's reverse queries as a whole are not watched. */
  readonly flood: FloodPolicy | undefined
  /** One in so many refused queries is answered with TC=1; 0: none. */
  readonly slip: number
  /** Such answers at most. */
  readonly slipPerSecond: number
  /** Queries to the DNS service and its answers pass conntrack by. */
  readonly notrack: boolean
  /** `undefined`: answers that nobody asked for pass. */
  readonly unsolicited: UnsolicitedPolicy | undefined
  /** `undefined`: what this host itself asks is not looked at. */
  readonly induced: InducedPolicy | undefined
}

/** About the reverse lookups that clients make this host do. */
interface InducedPolicy {
  /** From so many within an hour, for the clients of one service, there is an alarm. */
  readonly alarmPerHour: number
  /** How many within which time make an offender of the client; `undefined`: nobody is banned over them. */
  readonly ban: { readonly strikes: number; readonly withinMs: number } | undefined
}

interface UnsolicitedPolicy {
  /** From so many unsolicited answers a second, over a minute, there is an alarm. */
  readonly alarmPerSecond: number
}

export interface DnsLimits {
  readonly source: Limit
  readonly network: Limit
  readonly total: Limit
}

export interface SweepPolicy {
  /** So many new reverse names in `withinMs`, close to one another, are a sweep. */
  readonly names: number
  /** So many names of ip6.arpa that are no whole address. */
  readonly partial: number
  readonly withinMs: number
  /** What a sweep is still allowed, together with `dns.reverse`. */
  readonly source: Limit
  readonly network: Limit
}

export interface FloodPolicy {
  /** The level of the host's reverse queries is never believed to be lower, a second. */
  readonly usualPerSecond: number
  /** So many times the level is a flood. */
  readonly factor: number
  /** It is over when the rate has been below half of that for so long. */
  readonly calmMs: number
}

export interface HoldPolicy {
  /** Share of the queue's length, 0 to 0.9: a queue is filling when more packets wait. */
  readonly above: number
  /** How many times its limit a source or network must be refused to be held. */
  readonly factor: number
}

export interface FailurePolicy {
  readonly tries: number
  /** One of them is forgotten each time this has passed. */
  readonly forgetMs: number
}

export interface TrustPolicy {
  /** For how long the first success makes a source known good. */
  readonly firstMs: number
  /** Each further use makes that so many times longer. */
  readonly factor: number
  readonly longestMs: number
  readonly maxEntries: number
}

export interface NetworkPolicy {
  /** So many different parts of a network must have failed. */
  readonly sources: number
  readonly memoryMs: number
}

export interface BanPolicy {
  readonly firstMs: number
  /** Each further offence multiplies the ban time by this. */
  readonly factor: number
  readonly longestMs: number
  /** For how long an offence is remembered. */
  readonly memoryMs: number
  /** From which offence on a ban covers all ports. */
  readonly allPortsFrom: number
  /** Share of the ban time that is added at random, 0 to 1. */
  readonly jitter: number
  /** Entries of each ban set (ipset `maxelem`), and offenders that are remembered. */
  readonly maxEntries: number
  /** What an offender's address must have done to be banned: completed handshakes, or nothing. */
  readonly proof: 'handshake' | 'none'
  /** How far back a handshake counts. */
  readonly proofWindowMs: number
}

/** The UDP ports of the DNS services. */
export function dnsPorts({ services }: Pick<Policy, 'services'>): PortRange[] {
  return services
    .filter(({ dns }) => dns)
    .flatMap(({ ports }) => ports.filter(({ protocol }) => protocol === 'udp'))
}

/** Whether the kernel may be asked to take a flood of reverse queries from a full queue. */
export function thinsFloods(policy: Policy): boolean {
  return policy.holds !== undefined && policy.dns.flood !== undefined && dnsPorts(policy).length > 0
}

/** Whether datagrams to a service are DNS queries: as it says, or where 53/udp is among its ports. */
export function speaksDns(service: { ports: readonly PortRange[]; dns?: boolean | undefined }): boolean {
  const isDnsPort = ({ protocol, first, last }: PortRange) => protocol === 'udp' && first <= 53 && last >= 53
  return service.dns ?? service.ports.some(isDnsPort)
}

/** Whether a DNS service has each of its UDP ports as a TCP port too, where refused queries may come back. */
export function answersTcp({ ports }: { ports: readonly PortRange[] }): boolean {
  const tcp = ports.filter(({ protocol }) => protocol === 'tcp')
  return ports
    .filter(({ protocol }) => protocol === 'udp')
    .every((udp) => tcp.some(({ first, last }) => first <= udp.first && last >= udp.last))
}

/** The queue of this host's own queries: the next behind those of the path threads. */
export function ownQueriesQueue({ queue, threads }: Pick<Policy, 'queue' | 'threads'>): number {
  return queue.first + threads
}
