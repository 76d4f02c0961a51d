import type { NetworkPolicy } from '../../config/policy.ts'
import { covers, formatPrefix, type Prefix, parsePrefix, widen } from '../../net/prefix.ts'
import { RecentMap } from '../recent-map.ts'

/** Networks that are remembered; beyond it the one that nobody failed from for longest begins anew. */
const NETWORKS_MAX = 16_384

/**
 * What is counted in what, narrowest first. A provider gives a customer a /56 or a /48 (RIPE-690), so of a /48
 * its /56s are counted: who has one /56 only is banned with that.
 */
const LEVELS = {
  4: [{ network: 24, part: 32 }],
  6: [
    { network: 56, part: 64 },
    { network: 48, part: 56 },
  ],
} as const

/**
 * Which parts of each network have failed to log in to a service: enough different ones within the memory
 * make the network an offender, however slow each of them is. One success takes its part off the list.
 */
export class FailingNetworks {
  /** Told of each key whose list is new, changed or gone. */
  onChange: (key: string) => void = () => {}
  readonly #networks = new RecentMap<string, Map<string, number>>(NETWORKS_MAX, (key) => this.onChange(key))

  /** Notes that `source` has failed, or offended. @returns the widest network that is an offender by that, if any */
  fail(source: Prefix, service: string, policy: NetworkPolicy, nowMs: number): Prefix | undefined {
    let offender: Prefix | undefined
    for (const level of LEVELS[source.family]) {
      const network = widen(source, level.network)
      const parts = this.#partsOf(network, service)
      for (const [part, atMs] of parts) if (nowMs - atMs >= policy.memoryMs) parts.delete(part)
      parts.set(formatPrefix(widen(source, level.part)), nowMs)
      this.onChange(keyOf(network, service))
      if (parts.size < policy.sources) continue
      parts.clear()
      offender = network
    }
    return offender
  }

  /** Notes that `source` has succeeded. */
  succeed(source: Prefix, service: string): void {
    for (const level of LEVELS[source.family]) {
      const key = keyOf(widen(source, level.network), service)
      const parts = this.#networks.peek(key)
      if (parts?.delete(formatPrefix(widen(source, level.part)))) this.onChange(key)
    }
  }

  /** Forgets who failed to log in to `service` from `network` and from the networks in it. */
  clear(network: Prefix, service: string): void {
    for (const [key, parts] of this.#networks) {
      const [prefix = '', name] = key.split(' ')
      if (parts.size === 0 || name !== service || !covers(network, parsePrefix(prefix))) continue
      parts.clear()
      this.onChange(key)
    }
  }

  /** Of all networks that are remembered, with their services. */
  keys(): Iterable<string> {
    return this.#networks.keys()
  }

  /** The parts under `key` that have failed, each with the monotonic ms of its last failure. */
  parts(key: string): ReadonlyMap<string, number> | undefined {
    return this.#networks.peek(key)
  }

  /** Takes over the list of an earlier run, unless this one has begun another; who failed last comes last. */
  recall(key: string, parts: Map<string, number>): void {
    if (this.#networks.peek(key) !== undefined) return
    this.#networks.set(key, parts)
    this.onChange(key)
  }

  #partsOf(network: Prefix, service: string): Map<string, number> {
    const key = keyOf(network, service)
    const parts = this.#networks.get(key) ?? new Map<string, number>()
    this.#networks.set(key, parts)
    return parts
  }
}

function keyOf(network: Prefix, service: string): string {
  return `${formatPrefix(network)} ${service}`
}
