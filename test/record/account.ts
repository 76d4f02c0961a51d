import type { Limit, Policy, Service } from '../../src/config/policy.ts'
import { formatPrefix, parsePrefix, widen } from '../../src/net/prefix.ts'
import type { Attempt } from './attempts.ts'
import { DnsAccount } from './dns-account.ts'

/** What a replay of a capture must come to. */
export interface Expectation {
  /** SYNs and datagrams for the services of the policy: accepted, refused or banned. */
  readonly attempts: number
  readonly accepted: number
  /** By reason, as in src/path/reasons.ts. Unsolicited answers are here though they are for no service. */
  readonly refused: Readonly<Record<string, number>>
  /** Dropped by bans. */
  readonly banned: number
  /** From how many sources the refused came. */
  readonly refusedSources: number
  readonly firstRefusal: Event | null
  readonly bans: readonly (Event & { readonly seconds: number })[]
}

/** What befell a source, and when: in seconds since the first packet of the capture, to the millisecond. */
interface Event {
  readonly source: string
  readonly service: string
  readonly atS: number
}

/** Tokens in a bucket, and when they were counted. */
interface Bucket {
  readonly tokens: number
  readonly atS: number
}

/** What a token may lack by rounding. */
const EPSILON = 1e-9

/**
 * What a policy makes of attempts, in an account that shares no code with the path: tokens are counted and
 * strikes listed as the comments in rules/sluice.yaml say it. Slow and unbounded, so that it is plain. It
 * knows first offences only.
 */
export class Account {
  readonly #policy: Policy
  readonly #buckets = new Map<string, Bucket>()
  readonly #strikes = new Map<string, number[]>()
  readonly #refusals: (Event & { reason: string })[] = []
  readonly #dns: DnsAccount
  readonly #refusedSyns = new Set<string>()
  readonly #bans: (Event & { seconds: number })[] = []
  #accepted = 0
  #unsolicited = 0
  #banned = 0

  constructor(policy: Policy) {
    this.#policy = policy
    this.#dns = new DnsAccount(policy.dns, (what, limits, { atS, source, network }) =>
      this.#drawTokens(what, limits, atS, source, network),
    )
  }

  /** The attempts must come in the order of time. */
  enter(attempt: Attempt): void {
    const service = this.#serviceOf(attempt)
    if (service === undefined) {
      // The server of these captures asks nobody.
      if (attempt.fromPort === 53) this.#unsolicited++
      return
    }
    const event = { source: sourceOf(attempt), service: service.name, atS: attempt.atS }
    if (this.#isBanned(event)) {
      this.#banned++
      return
    }
    const reason = this.#refusal(attempt, event.source, service)
    if (reason === undefined) this.#accepted++
    else this.#refuse(attempt, event, reason)
  }

  get expectation(): Expectation {
    const refused: Record<string, number> = {}
    for (const { reason } of this.#refusals) refused[reason] = (refused[reason] ?? 0) + 1
    if (this.#unsolicited > 0) refused['unsolicited-answer'] = this.#unsolicited
    const [first] = this.#refusals
    return {
      attempts: this.#accepted + this.#refusals.length + this.#banned,
      accepted: this.#accepted,
      refused,
      banned: this.#banned,
      refusedSources: new Set(this.#refusals.map(({ source }) => source)).size,
      firstRefusal: first === undefined ? null : inMilliseconds(first),
      bans: this.#bans.map((ban) => ({ ...inMilliseconds(ban), seconds: ban.seconds })),
    }
  }

  #serviceOf({ protocol, port }: Attempt): Service | undefined {
    return this.#policy.services.find(({ ports }) =>
      ports.some((each) => each.protocol === protocol && each.first <= port && port <= each.last),
    )
  }

  #isBanned({ source, service, atS }: Event): boolean {
    return this.#bans.some(
      (ban) => ban.source === source && ban.service === service && atS < ban.atS + ban.seconds,
    )
  }

  #refusal(attempt: Attempt, source: string, { name, limits, dns }: Service): string | undefined {
    const { atS, reverseName } = attempt
    const network = networkOf(attempt)
    const refusal = dns && reverseName && this.#dns.refusal({ atS, source, network, name: reverseName })
    if (refusal) return refusal
    const empty = this.#drawTokens(name, limits, atS, source, network)
    return empty && `${empty}-limit`
  }

  /** A token from each of three buckets; or from none, and which is empty. */
  #drawTokens(
    what: string,
    limits: Partial<Service['limits']>,
    atS: number,
    source: string,
    network: string,
  ): string | undefined {
    const buckets = [
      { kind: 'source', limit: limits.source, key: `${what} source ${source}` },
      { kind: 'network', limit: limits.network, key: `${what} network ${network}` },
      { kind: 'total', limit: limits.total, key: `${what} total` },
    ].flatMap(({ kind, limit, key }) =>
      limit === undefined ? [] : [{ kind, key, tokens: this.#tokens(key, limit, atS) }],
    )
    const empty = buckets.find(({ tokens }) => tokens < 1 - EPSILON)
    if (empty !== undefined) return empty.kind
    for (const { key, tokens } of buckets) this.#buckets.set(key, { tokens: tokens - 1, atS })
    return undefined
  }

  /** How many there are in a bucket that was full at first. */
  #tokens(key: string, { burst, ratePerSecond }: Limit, atS: number): number {
    const bucket = this.#buckets.get(key)
    return bucket === undefined ? burst : Math.min(burst, bucket.tokens + (atS - bucket.atS) * ratePerSecond)
  }

  #refuse({ protocol, identity }: Attempt, event: Event, reason: string): void {
    const isRepeat = this.#refusedSyns.has(identity)
    this.#refusals.push({ ...event, reason: isRepeat ? 'retransmission' : reason })
    if (protocol === 'udp') return
    this.#refusedSyns.add(identity)
    if (reason === 'source-limit' && !isRepeat) this.#strike(event)
  }

  #strike(event: Event): void {
    const { ban } = this.#policy.services.find(({ name }) => name === event.service)!
    if (ban === undefined) return
    const key = `${event.service} ${event.source}`
    const before = this.#strikes.get(key) ?? []
    const strikes = [...before.filter((atS) => event.atS - atS < ban.withinMs / 1000), event.atS]
    this.#strikes.set(key, strikes)
    if (strikes.length < ban.strikes) return
    this.#strikes.delete(key)
    this.#bans.push({ ...event, seconds: this.#policy.ban.firstMs / 1000 })
  }
}

/** An IPv4 address, or an IPv6 /64. */
function sourceOf({ from }: Attempt): string {
  const address = parsePrefix(from)
  return formatPrefix(address.family === 4 ? address : widen(address, 64))
}

/** An IPv4 /24, or an IPv6 /48. */
function networkOf({ from }: Attempt): string {
  const address = parsePrefix(from)
  return formatPrefix(widen(address, address.family === 4 ? 24 : 48))
}

function inMilliseconds({ source, service, atS }: Event): Event {
  return { source, service, atS: Math.round(atS * 1000) / 1000 }
}
