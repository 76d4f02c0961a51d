import type { Policy, Service } from '../../config/policy.ts'
import { formatPrefix, type Prefix, widen } from '../../net/prefix.ts'
import { HeavyHitters } from '../../path/heavy-hitters.ts'
import type { OwnLookup } from '../../path/lookup-ring.ts'
import { sourceKey, sourcePrefix } from '../../path/source-ring.ts'
import { RecentMap } from '../recent-map.ts'
import { HourCount } from './hour-count.ts'

/** A client looks like the cause of a lookup while its last connection is not longer ago. sshd waits 120 s for a login. */
const CONNECTED_WITHIN_MS = 150_000

/** A question of the same id, or one that a local resolver asks on, within this time is the same lookup. */
const SAME_LOOKUP_MS = 15_000

/** Addresses whose last lookup is remembered, and sources whose strikes are: the oldest are forgotten. */
const REMEMBERED = 16_384

/** A lookup that a client has caused. */
export interface InducedLookup {
  /** An IPv4 address or an IPv6 /64. */
  readonly source: Prefix
  readonly service: Service
  /** How many lookups of this source the service has made within `dns.induced.ban.within`. */
  readonly strikes: number
}

export interface Cause {
  readonly source: Prefix
  readonly service: string
  readonly lookups: number
}

/** Where it is known when a client was last seen at a service. */
interface Connections {
  /** When its bucket is, or was, full again after its last attempt; `undefined`: none is remembered. */
  fullAtMs(source: Prefix, serviceSlot: number): number | undefined
}

export interface InducedLookupsOptions {
  readonly connections: Connections
  readonly slotOf: (service: string) => number
  readonly seed: Uint32Array
}

/**
 * Which clients make this host look up names: sshd and mail servers ask for the name of whoever connects to
 * them, so a client who connects often keeps a resolver busy. A lookup is put down to the address that is
 * looked up, if that has been let through to a TCP service not long ago, and to the service where it was last.
 *
 * The connection is known from the source's bucket, so nothing is kept for it; a source whose bucket was
 * forgotten, or who is on the allow list, is nobody's cause.
 */
export class InducedLookups {
  /** Lookups of addresses that have not been here: other programs have their own reasons. */
  unexplained = 0
  readonly #options: InducedLookupsOptions
  readonly #services = new Map<string, HourCount>()
  readonly #causes: HeavyHitters
  readonly #last = new RecentMap<string, { id: number; atMs: number; localAtMs: number }>(REMEMBERED)
  readonly #strikes = new RecentMap<string, { count: number; sinceMs: number }>(REMEMBERED)

  constructor(options: InducedLookupsOptions) {
    this.#options = options
    this.#causes = new HeavyHitters(new SharedArrayBuffer(HeavyHitters.BYTES), options.seed)
  }

  /** Takes in lookups in the order of time, and returns those that clients have caused. */
  take(lookups: readonly OwnLookup[], policy: Policy): InducedLookup[] {
    return lookups.flatMap((lookup) => {
      if (this.#isKnown(lookup)) return []
      const source = lookup.address.family === 4 ? lookup.address : widen(lookup.address, 64)
      const service = this.#visited(source, policy, lookup.atMs)
      if (service === undefined) {
        this.unexplained++
        return []
      }
      this.count(service.name).add(lookup.atMs)
      const { high, low } = sourceKey(source)
      this.#causes.count(high, low, source.family, this.#options.slotOf(service.name), lookup.atMs)
      const withinMs = policy.dns.induced?.ban?.withinMs ?? 0
      return [{ source, service, strikes: this.#strike(source, service.name, lookup.atMs, withinMs) }]
    })
  }

  /** How many lookups a service has made for its clients. */
  count(service: string): HourCount {
    const known = this.#services.get(service)
    if (known !== undefined) return known
    const count = new HourCount()
    this.#services.set(service, count)
    return count
  }

  /** Who has caused most lookups in the last ten to twenty minutes. */
  causes(most: number, nameOf: (slot: number) => string | undefined, nowMs: number): Cause[] {
    return this.#causes.top(most, nowMs).flatMap(({ family, high, low, detail, count }) => {
      const service = nameOf(detail)
      return service === undefined
        ? []
        : [{ source: sourcePrefix(family, high, low), service, lookups: count }]
    })
  }

  /** Forgets the services that are not among `names`. */
  keep(names: readonly string[]): void {
    for (const name of this.#services.keys()) if (!names.includes(name)) this.#services.delete(name)
  }

  /** A repeated question, or one that a resolver on this host asks on for a program that has asked it. */
  #isKnown({ address, id, isLocal, atMs }: OwnLookup): boolean {
    const key = formatPrefix(address)
    const last = this.#last.get(key)
    const isAskedOn = last !== undefined && !isLocal && atMs - last.localAtMs < SAME_LOOKUP_MS
    // The program that waits for the answer may still repeat its own question.
    if (isAskedOn) return true
    const isRepeat = last !== undefined && last.id === id && atMs - last.atMs < SAME_LOOKUP_MS
    const localAtMs = isLocal ? atMs : (last?.localAtMs ?? Number.NEGATIVE_INFINITY)
    this.#last.set(key, { id, atMs, localAtMs })
    return isRepeat
  }

  /** The TCP service where `source` has been last. */
  #visited(source: Prefix, policy: Policy, atMs: number): Service | undefined {
    const { connections, slotOf } = this.#options
    let visited: Service | undefined
    let latestMs = atMs - CONNECTED_WITHIN_MS
    for (const service of policy.services) {
      // A DNS service looks up nothing on account of who asks it.
      if (service.dns || !service.ports.some(({ protocol }) => protocol === 'tcp')) continue
      const fullAtMs = connections.fullAtMs(source, slotOf(service.name))
      if (fullAtMs === undefined || fullAtMs < latestMs) continue
      visited = service
      latestMs = fullAtMs
    }
    return visited
  }

  #strike(source: Prefix, service: string, atMs: number, withinMs: number): number {
    if (withinMs === 0) return 0
    const key = `${formatPrefix(source)} ${service}`
    const known = this.#strikes.get(key)
    const isOpen = known !== undefined && atMs - known.sinceMs < withinMs
    const strikes = isOpen ? { ...known, count: known.count + 1 } : { count: 1, sinceMs: atMs }
    this.#strikes.set(key, strikes)
    return strikes.count
  }

  /** `source` starts afresh. */
  forgive(source: Prefix, service: string): void {
    this.#strikes.delete(`${formatPrefix(source)} ${service}`)
  }
}
