import { grouped } from '../grouped.ts'
import { formatPrefix } from '../net/prefix.ts'
import { BucketTable } from '../path/table.ts'
import type {
  BanPolicy,
  DnsPolicy,
  FloodPolicy,
  HoldPolicy,
  Limit,
  NetworkPolicy,
  OutcomeModel,
  Policy,
  Service,
  SweepPolicy,
  TrustPolicy,
} from './policy.ts'
import { formatDuration, formatPorts } from './values.ts'

/** The whole effective policy, defaults included, as text for people. */
export function explainPolicy(policy: Policy): string {
  const { queue, firewall, metrics, control, state, log } = policy
  const firstQueue = `from queue ${queue.first} on, ${grouped(queue.length)} packets each`
  return [
    policy.mode === 'enforce'
      ? 'mode: enforce'
      : 'mode: shadow; everything is decided and reported, nothing is dropped',
    '',
    ...policy.services.flatMap((service) => [...explainService(service), '']),
    ...explainBan(policy.ban),
    explainHolds(policy.holds),
    ...explainDns(policy),
    explainTrust(policy.trust),
    explainNetworks(policy.networks),
    '',
    `allow list: ${policy.allow.map(formatPrefix).join(', ') || 'empty; only the automatic entries'}`,
    `sources: ${grouped(policy.sources)} at the same time, in a table of ${mebibytes(BucketTable.bytes(policy.sources))}`,
    `threads: ${policy.threads}, ${firstQueue}`,
    `queue: up to ${grouped(queue.length)} packets wait, ${queue.copyBytes} bytes of each are read; ` +
      `when full, packets ${queue.failOpen ? 'pass' : 'are dropped'}`,
    `firewall: back end ${firewall.backend}, checked every ${formatDuration(firewall.checkMs)}`,
    `metrics: ${metrics ? `http://${authority(metrics)}/metrics` : 'off'}`,
    `control: ${control.socket}, for root and group ${control.group}`,
    `state: ${state ? `bans, offences and allowed sources are remembered in ${state.directory}` : 'off; nothing is remembered over a restart'}`,
    `log: ${log.level} and worse, format ${log.format}`,
  ].join('\n')
}

/** The same for programs: prefixes and ports as text, what is off as `null`. */
export function policyAsJson(policy: Policy): object {
  return {
    ...policy,
    services: policy.services.map((service) => ({ ...service, ports: service.ports.map(formatPorts) })),
    allow: policy.allow.map(formatPrefix),
    dns: {
      ...policy.dns,
      sweep: policy.dns.sweep ?? null,
      flood: policy.dns.flood ?? null,
      unsolicited: policy.dns.unsolicited ?? null,
      induced: policy.dns.induced ?? null,
    },
    holds: policy.holds ?? null,
    trust: policy.trust ?? null,
    networks: policy.networks ?? null,
    metrics: policy.metrics ?? null,
    state: policy.state ?? null,
  }
}

/** A rate in words, in the smallest unit in which it is a whole number: `4 a minute`. */
export function describeRate(ratePerSecond: number): string {
  const units = [
    ['second', 1],
    ['minute', 60],
    ['hour', 3600],
    ['day', 86_400],
  ] as const
  const whole = units.find(([, seconds]) => {
    const count = ratePerSecond * seconds
    return count > 0.5 && Math.abs(count - Math.round(count)) < 1e-6
  })
  const [unit, seconds] = whole ?? units[3]
  return `${grouped(Math.round(ratePerSecond * seconds))} a ${unit}`
}

function explainService({ name, ports, mode, dns, limits, ban, failures, outcome }: Service): string[] {
  const remarks = [...(dns ? ['DNS queries'] : []), ...(mode === 'shadow' ? ['shadow'] : [])]
  const lines = [`service ${name}: ${[...ports.map(formatPorts), ...remarks].join(', ')}`]
  const kinds = { source: 'each source', network: 'each network', total: 'all together' } as const
  for (const kind of ['source', 'network', 'total'] as const) {
    const limit = limits[kind]
    lines.push(`  ${kinds[kind].padEnd(12)}  ${limit ? explainLimit(limit) : 'no limit'}`)
  }
  if (limits.known) {
    const counts = `${explainLimit(limits.known)}; no other limit counts`
    lines.push(`  ${'known good'.padEnd(12)}  ${counts}`)
  }
  const banned =
    ban && `after ${ban.strikes} refusals by the first limit within ${formatDuration(ban.withinMs)}`
  lines.push(`  ${'ban'.padEnd(12)}  ${banned ?? 'never'}`)
  if (failures !== undefined) {
    const { tries, forgetMs } = failures
    const held = `ban at ${grouped(tries)} failed logins, of which one is forgotten each ${formatDuration(forgetMs)}`
    lines.push(`  ${'failures'.padEnd(12)}  ${held}`)
  }
  if (outcome !== undefined) lines.push(`  ${'sessions'.padEnd(12)}  ${explainOutcome(outcome)}`)
  return lines
}

function explainOutcome(model: OutcomeModel): string {
  if ('failedPackets' in model) {
    const { kind, failedPackets, failedBytesPerPacket, succeededBytes } = model
    const mail = `a mail was taken from ${grouped(succeededBytes)} bytes on`
    if (kind === 'smtp') return `judged as smtp: ${mail}`
    return `judged as submission: failed from ${failedPackets} packets of at most ${failedBytesPerPacket} bytes on, ${mail}`
  }
  const { kind, leastBytes, failedBytes, succeededBytes, graceMs, openingBytes } = model
  const moved = openingBytes === undefined ? '' : '; moved by what the sshd of this host says'
  return (
    `judged as ${kind}: failed from ${grouped(leastBytes)} to ${grouped(failedBytes)} bytes from the server, ` +
    `succeeded from ${grouped(succeededBytes)} on or after ${formatDuration(graceMs)}${moved}`
  )
}

/** The most that a bucket lets through in a time: what it holds, and what grows meanwhile. */
function explainLimit({ burst, ratePerSecond }: Limit): string {
  const most = (seconds: number) => grouped(Math.floor(burst + ratePerSecond * seconds + 1e-6))
  return (
    `${grouped(burst)} at once, then ${describeRate(ratePerSecond)}; ` +
    `at most ${most(60)} in a minute, ${most(3600)} in an hour`
  )
}

function explainBan(ban: BanPolicy): string[] {
  const jitter = ban.jitter === 0 ? '' : `, and up to ${percent(ban.jitter)} more at random`
  return [
    `bans: ${banTimes(ban).map(inUnits).join(', ')}${jitter}`,
    `  offences are remembered for ${formatDuration(ban.memoryMs)}; from number ${ban.allPortsFrom} on, all ports are closed`,
    `  each set holds ${grouped(ban.maxEntries)} bans`,
    ban.proof === 'none'
      ? '  nobody has to prove his address: whoever forges SYNs can have anybody banned'
      : `  only sources that completed handshakes within ${formatDuration(ban.proofWindowMs)} are banned; others stay limited`,
  ]
}

function explainHolds(holds: HoldPolicy | undefined): string {
  if (holds === undefined) return 'holds: off'
  const { above, factor } = holds
  return (
    `holds: while more than ${percent(above)} of a queue wait, whoever is refused more than ${grouped(factor)} times ` +
    'his limit is dropped by the kernel, for a second each time'
  )
}

function explainDns(policy: Policy): string[] {
  const { reverse, malformed, sweep, flood, slip, slipPerSecond, notrack, unsolicited, induced } = policy.dns
  const alarm =
    unsolicited && `are dropped and counted; an alarm from ${describeRate(unsolicited.alarmPerSecond)} on`
  const answers = `dns: answers that nobody asked for ${alarm ?? 'pass'}`
  const lookups = `  reverse lookups that clients cause ${induced ? explainInduced(induced) : 'are not looked at'}`
  if (!policy.services.some(({ dns }) => dns)) return [answers, lookups]
  return [
    answers,
    lookups,
    `  queries to the DNS service ${notrack ? 'pass conntrack by' : 'are tracked like all else'}`,
    'dns reverse queries:',
    ...explainDnsLimits(reverse),
    'dns malformed queries:',
    ...explainDnsLimits(malformed),
    ...(sweep === undefined ? ['dns sweeps: off'] : explainSweep(sweep)),
    flood === undefined ? 'dns floods: off' : explainFlood(flood),
    `dns slip: ${slip === 0 ? 'off' : `one in ${slip} refused queries is asked to come back over TCP, at most ${describeRate(slipPerSecond)}`}`,
  ]
}

function explainSweep({ names, partial, withinMs, source, network }: SweepPolicy): string[] {
  const what = `${grouped(names)} new names near one another, or ${grouped(partial)} that are no whole address`
  return [
    `dns sweeps: ${what}, within ${formatDuration(withinMs)}; then`,
    ...explainDnsLimits({ source, network }),
  ]
}

function explainFlood({ usualPerSecond, factor, calmMs }: FloodPolicy): string {
  const least = describeRate(usualPerSecond * factor)
  const end = `over when below half of that for ${formatDuration(calmMs)}`
  return `dns floods: ${factor} times the usual reverse queries of the host, at least ${least}; ${end}`
}

function explainDnsLimits(limits: Partial<DnsPolicy['reverse']>): string[] {
  const kinds = { source: 'each source', network: 'each network', total: 'all together' } as const
  return (['source', 'network', 'total'] as const).flatMap((kind) => {
    const limit = limits[kind]
    return limit ? [`  ${kinds[kind].padEnd(12)}  ${explainLimit(limit)}`] : []
  })
}

function explainTrust(trust: TrustPolicy | undefined): string {
  if (trust === undefined) return 'trust: off, nobody is known good'
  const { firstMs, factor, longestMs, maxEntries } = trust
  return (
    `trust: ${formatDuration(firstMs)} after the first login, ${factor} times as long after each further use, ` +
    `up to ${formatDuration(longestMs)}; ${grouped(maxEntries)} sources at most`
  )
}

function explainNetworks(networks: NetworkPolicy | undefined): string {
  if (networks === undefined) return 'networks: off, sources are banned one by one'
  return `networks: banned when ${networks.sources} of their parts have offended within ${formatDuration(networks.memoryMs)}`
}

function explainInduced({ alarmPerHour, ban }: NonNullable<DnsPolicy['induced']>): string {
  const banned = ban && `; a ban after ${grouped(ban.strikes)} within ${formatDuration(ban.withinMs)}`
  return `are counted; an alarm from ${grouped(alarmPerHour)} an hour for a service on${banned ?? ', and no ban'}`
}

/** How long the first, second ... ban is, in ms, up to the longest; at most ten. */
function banTimes({ firstMs, factor, longestMs }: BanPolicy): number[] {
  const times = [firstMs]
  while (times.length < 10 && factor > 1 && times.at(-1)! < longestMs) {
    times.push(Math.min(longestMs, Math.round(times.at(-1)! * factor)))
  }
  return times
}

/** `2h 40m` */
function inUnits(ms: number): string {
  const sizes = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 }
  let rest = Math.round(ms)
  const parts: string[] = []
  for (const [unit, size] of Object.entries(sizes)) {
    const count = Math.floor(rest / size)
    if (count > 0) parts.push(`${count}${unit}`)
    rest %= size
  }
  return parts.join(' ')
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`
}

function authority({ address, port }: { address: string; port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
