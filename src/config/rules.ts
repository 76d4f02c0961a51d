import type { core } from 'zod'
import { grouped } from '../grouped.ts'
import { answersTcp, type PortRange, speaksDns } from './policy.ts'
import { formatDuration, formatPorts } from './values.ts'

/** What an ipset entry's timeout can hold: (UINT_MAX >> 1) / MSEC_PER_SEC, linux/netfilter/ipset/ip_set_timeout.h. */
const IPSET_LONGEST_SECONDS = 2_147_483
/** More would make chains and metrics that nobody reads. */
const MOST_SERVICES = 32
/** Each path thread has a table of its own, and a smaller one would be all collisions. */
const SOURCES_PER_THREAD = 1024

const LIMIT_KINDS = ['source', 'network', 'total'] as const
type Context = Pick<core.$RefinementCtx, 'issues' | 'addIssue'>
type LimitSettings = { burst: number; rate: number }
type LimitsSettings = { [kind in (typeof LIMIT_KINDS)[number] | 'known']?: LimitSettings | undefined }
type ServiceSettings = { enabled: boolean; ports: PortRange[]; ban?: unknown; dns?: boolean | undefined }

// What two or more settings must be together. These checks also run when another part of their section is
// wrong, so that one run shows every error; each asks `isSound` before it believes a value.

/** Together with a wider limit that is tighter, a source within its own limit would be refused for others. */
export function limitsNest(limits: LimitsSettings, context: Context): void {
  if (LIMIT_KINDS.every((kind) => limits[kind] === undefined)) {
    complain(context, [], 'there is no limit; write at least one of source, network, total')
  }
  for (const part of ['burst', 'rate'] as const) {
    const kinds = LIMIT_KINDS.filter((kind) => limits[kind] !== undefined && isSound(context, kind, part))
    for (const [i, kind] of kinds.slice(1).entries()) {
      const inner = kinds[i]!
      if (limits[kind]![part] >= limits[inner]![part]) continue
      complain(
        context,
        [kind, part],
        `is smaller than ${inner}.${part}, so one busy source would use up what all its neighbours share; ` +
          `write at least as much as ${inner}.${part}`,
      )
    }
    knownGetsMore(limits, part, context)
  }
}

/** Whoever belongs must not be worse off than a stranger. */
function knownGetsMore({ source, known }: LimitsSettings, part: 'burst' | 'rate', context: Context): void {
  if (source === undefined || known === undefined) return
  if (!isSound(context, 'source', part) || !isSound(context, 'known', part)) return
  if (known[part] >= source[part]) return
  complain(
    context,
    ['known', part],
    `is smaller than source.${part}, so a source known good would have less than a stranger; ` +
      `write at least as much as source.${part}`,
  )
}

export function serviceCanBan({ ports, ban }: ServiceSettings, context: Context): void {
  if (ban === undefined || !isSound(context, 'ports') || ports.some(({ protocol }) => protocol === 'tcp'))
    return
  complain(
    context,
    ['ban'],
    'all ports are UDP, where the source address can be forged: such sources are limited, never banned; ' +
      'remove this key or add a TCP port',
  )
}

export function serviceSpeaksDns(
  { ports, dns }: { ports: PortRange[]; dns?: boolean | undefined },
  context: Context,
): void {
  if (dns !== true || !isSound(context, 'dns') || !isSound(context, 'ports')) return
  if (ports.some(({ protocol }) => protocol === 'udp')) return
  complain(
    context,
    ['dns'],
    'no port is UDP, and only datagrams are read as DNS queries; add one such as 53/udp or remove this key',
  )
}

export function sweepLimitsNest(
  { source, network }: { source: LimitSettings; network: LimitSettings },
  context: Context,
): void {
  limitsNest({ source, network }, context)
}

/** Names are usable, their number is bounded, and each port belongs to one enabled service. */
export function servicesAreApart(services: Record<string, ServiceSettings>, context: Context): void {
  const names = Object.keys(services)
  for (const name of names) {
    if (/^[a-z][a-z0-9-]{0,15}$/.test(name) && name !== 'all') continue
    const wanted = 'a small letter, then at most 15 small letters, digits or "-", and not "all"'
    complain(context, [name], `is no name for a service; write ${wanted}`)
  }
  if (names.length > MOST_SERVICES) {
    complain(context, [], `there are ${names.length} services; at most ${MOST_SERVICES} are allowed`)
    return
  }
  const enabled = names.filter((name) => !isSound(context, name, 'enabled') || services[name]!.enabled)
  if (enabled.length === 0)
    complain(context, [], 'no service is enabled, so nothing would be limited; enable one')
  portsAreApart(
    enabled.filter((name) => isSound(context, name, 'ports')).map((name) => [name, services[name]!.ports]),
    context,
  )
}

function portsAreApart(services: [string, PortRange[]][], context: Context): void {
  const taken: { name: string; range: PortRange }[] = []
  for (const [name, ranges] of services) {
    for (const [i, range] of ranges.entries()) {
      const other = taken.find((each) => overlap(each.range, range))
      taken.push({ name, range })
      if (other === undefined) continue
      const owner = other.name === name ? 'this service' : `service "${other.name}"`
      const claim = `${formatPorts(range)} is in ${formatPorts(other.range)} of ${owner} already`
      complain(context, [name, 'ports', i], `${claim}; write each port once`)
    }
  }
}

function overlap(a: PortRange, b: PortRange): boolean {
  return a.protocol === b.protocol && a.first <= b.last && b.first <= a.last
}

export function banCanBeCarriedOut(
  ban: { first: number; longest: number; jitter: number },
  context: Context,
): void {
  if (!isSound(context, 'longest')) return
  if (isSound(context, 'first') && ban.first > ban.longest) {
    const longest = formatDuration(ban.longest)
    complain(
      context,
      ['first'],
      `${formatDuration(ban.first)} is longer than ban.longest; write ${longest} or less`,
    )
  }
  if (!isSound(context, 'jitter')) return
  const mostSeconds = Math.floor(IPSET_LONGEST_SECONDS / (1 + ban.jitter))
  if (ban.longest <= mostSeconds * 1000) return
  const most = `${Math.floor(mostSeconds / 3600)}h`
  complain(
    context,
    ['longest'],
    `${formatDuration(ban.longest)} and the jitter of ${ban.jitter} together are longer than the kernel can hold, ` +
      `which is ${grouped(IPSET_LONGEST_SECONDS)} s; write ${most} or less`,
  )
}

export function failuresAreSeen(
  { outcome, failures }: { outcome: string; failures?: unknown },
  context: Context,
): void {
  if (failures === undefined || !isSound(context, 'outcome') || outcome !== 'none') return
  const wanted = 'add an outcome, or remove this key'
  complain(
    context,
    ['failures'],
    `the service has no outcome, so nobody can tell which logins failed; ${wanted}`,
  )
}

export function trustGrows({ first, longest }: { first: number; longest: number }, context: Context): void {
  if (!isSound(context, 'first') || !isSound(context, 'longest') || first <= longest) return
  const most = formatDuration(longest)
  complain(context, ['first'], `${formatDuration(first)} is longer than trust.longest; write ${most} or less`)
}

/** Otherwise one session would be both. */
export function outcomesAreApart(
  file: { failed: number; largeFailed: number; succeeded: number },
  context: Context,
): void {
  if (!isSound(context, 'succeeded')) return
  for (const key of ['failed', 'largeFailed'] as const) {
    if (!isSound(context, key) || file[key] < file.succeeded) continue
    complain(context, [key], `is not below succeeded; write less than ${grouped(file.succeeded)}`)
  }
}

export function partsFitTogether(
  file: { threads: number; sources: number; queue: { first: number }; dns: { induced?: unknown } },
  context: Context,
): void {
  if (!isSound(context, 'threads')) return
  const { threads, sources } = file
  if (isSound(context, 'sources') && sources < threads * SOURCES_PER_THREAD) {
    const least = grouped(threads * SOURCES_PER_THREAD)
    complain(context, ['sources'], `${sources} are too few for ${threads} threads; write at least ${least}`)
  }
  const isAsking = isSound(context, 'dns') && file.dns.induced !== undefined
  const last = 65_536 - threads - (isAsking ? 1 : 0)
  if (isSound(context, 'queue', 'first') && file.queue.first > last) {
    const another = isAsking ? ', dns.induced has another,' : ''
    const wanted = `each of the ${threads} threads has a queue${another} and the highest number is 65,535; write ${last} or less`
    complain(context, ['queue', 'first'], `${file.queue.first} is too high: ${wanted}`)
  }
}

/** What is said of the DNS service must have one that it can be true of. */
export function dnsFitsServices(
  file: { services: Record<string, ServiceSettings>; dns: { notrack: boolean; slip?: number | undefined } },
  context: Context,
): void {
  if (!isSound(context, 'services') || !isSound(context, 'dns')) return
  const services = Object.values(file.services).filter((each) => each.enabled && speaksDns(each))
  if (file.dns.slip !== undefined && file.dns.slip > 0 && !services.every(answersTcp)) {
    const wanted = 'write 0, or add its ports as /tcp and let the server listen there'
    complain(
      context,
      ['dns', 'slip'],
      `asks clients to come back over TCP, where a DNS service has no port; ${wanted}`,
    )
  }
  if (file.dns.notrack && services.length === 0) {
    complain(
      context,
      ['dns', 'notrack'],
      'no enabled service answers DNS queries; write false, or enable one with 53/udp or "dns: true"',
    )
  }
}

function complain(context: Context, path: PropertyKey[], message: string): void {
  context.addIssue({ code: 'custom', path, message })
}

/** Whether the value at `path` has been read without an error, so that it is what its type says. */
function isSound(context: Context, ...path: PropertyKey[]): boolean {
  return !context.issues.some((issue) => {
    // An unknown key says nothing about the known ones beside it.
    if (issue.code === 'unrecognized_keys') return false
    const at = issue.path ?? []
    return at.every((step, i) => i >= path.length || step === path[i])
  })
}
