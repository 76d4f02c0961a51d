import type { TrustPolicy } from '../../config/policy.ts'
import { covers, formatPrefix, type Prefix, widen } from '../../net/prefix.ts'
import { Known, type KnownGood } from '../../path/known-good.ts'
import { RecentMap } from '../recent-map.ts'

/** A success counts as another use when this share of the term has passed since the use before. */
const USE_AFTER = 0.25

/** What is called the network of a source, as in the limits. */
const NETWORK_BITS = { 4: 24, 6: 48 } as const

/** A source known good to a service, or one that was and would soon be again. Times are monotonic ms. */
export interface Trusted {
  readonly source: Prefix
  readonly service: string
  readonly sinceMs: number
  readonly successes: number
  readonly lastMs: number
  /** For how long after a success it is known good. */
  readonly termMs: number
  /** When the term grew last. */
  readonly grownMs: number
}

export interface TrustOptions {
  readonly policy: TrustPolicy
  readonly known: KnownGood
  /** The path's number for a service in use. */
  readonly slotOf: (service: string) => number
  /** Monotonic milliseconds, of the path's clock. */
  readonly now: () => number
}

/**
 * Who is known good, by the sessions that succeeded: for each service by itself, since a mail accepted
 * on port 25 says nothing about a shell. The first success is good for a short term; each use in a later
 * quarter of the term makes it longer. Who stays away longer than that is a stranger again, but goes on
 * from there when he comes back, until the longest term has passed.
 *
 * The network of a source that has come back is known good too, more weakly: the path spares it the total
 * limit, so that those whose addresses change get in while a flood has used that up.
 *
 * Beyond `maxEntries` who succeeded longest ago is forgotten, and is a stranger until his next success.
 */
export class Trust {
  /** Sources that have lost their trust by failing. */
  lost = 0
  /** Told of the key of each source that is new, changed or gone. */
  onChange: (key: string) => void = () => {}
  readonly #options: TrustOptions
  readonly #trusted: RecentMap<string, Trusted>
  #policy: TrustPolicy

  constructor(options: TrustOptions) {
    const { policy } = options
    this.#options = options
    this.#policy = policy
    this.#trusted = new RecentMap(policy.maxEntries, (key, trusted) => {
      this.#withdraw(trusted)
      this.onChange(key)
    })
  }

  /** Terms from now on; the number of entries stays. */
  set policy(policy: TrustPolicy) {
    this.#policy = policy
  }

  /** Notes a session that has succeeded. */
  succeed(source: Prefix, service: string): void {
    this.#use(source, service, 1)
  }

  /** Notes that a session which had succeeded went on until now. */
  goOn(source: Prefix, service: string): void {
    this.#use(source, service, 0)
  }

  /** Whether `source` is known good to `service` now. */
  has(source: Prefix, service: string): boolean {
    const trusted = this.of(source, service)
    return trusted !== undefined && endOf(trusted) > this.#options.now()
  }

  of(source: Prefix, service: string): Trusted | undefined {
    return this.#recall(keyOf(source, service))
  }

  /** Forgets `source`, which has failed too often. @returns whether it was known good */
  lose(source: Prefix, service: string): boolean {
    const wasKnown = this.has(source, service)
    const trusted = this.of(source, service)
    if (trusted !== undefined) this.#forget([trusted])
    if (wasKnown) this.lost++
    return wasKnown
  }

  /** Forgets every source in `prefix`. @returns those that were there */
  forget(prefix: Prefix): Trusted[] {
    const found = this.entries().filter(({ source }) => covers(prefix, source) || covers(source, prefix))
    this.#forget(found)
    return found
  }

  /** Sources known good to `service` that lie in `network`. */
  inside(network: Prefix, service: string): Prefix[] {
    return this.listed()
      .filter((trusted) => trusted.service === service && covers(network, trusted.source))
      .map(({ source }) => source)
  }

  /** All that are remembered, known good now or not. */
  entries(): Trusted[] {
    return this.#trusted.values().filter((trusted) => !this.#isForgotten(trusted))
  }

  /** Those known good now. */
  listed(): Trusted[] {
    const nowMs = this.#options.now()
    return this.entries().filter((trusted) => endOf(trusted) > nowMs)
  }

  /** Of all that are remembered: source and service. */
  keys(): Iterable<string> {
    return this.#trusted.keys().filter((key) => this.#recall(key) !== undefined)
  }

  /** Who is remembered under one of `keys`, and until when; monotonic ms. */
  read(key: string): { readonly trusted: Trusted; readonly forgottenMs: number } | undefined {
    const trusted = this.#recall(key)
    return trusted && { trusted, forgottenMs: trusted.lastMs + this.#policy.longestMs }
  }

  /** Takes back what an earlier run has learned, as far as there is room; nobody is known good for longer than now. */
  restore(entries: readonly Trusted[]): void {
    const { maxEntries, longestMs } = this.#policy
    const oldestFirst = [...entries].sort((a, b) => a.lastMs - b.lastMs)
    for (const entry of oldestFirst.slice(-maxEntries)) {
      const trusted = { ...entry, termMs: Math.min(longestMs, entry.termMs) }
      const before = this.of(trusted.source, trusted.service)
      if (before === undefined || endOf(before) < endOf(trusted)) this.#keep(trusted)
    }
  }

  /** Forgets all services but `services`; before the path's numbers of the others can mean anything else. */
  keepServices(services: readonly string[]): void {
    this.#forget(this.entries().filter(({ service }) => !services.includes(service)))
  }

  #use(source: Prefix, service: string, successes: number): void {
    const nowMs = this.#options.now()
    const before = this.of(source, service)
    const next =
      before === undefined ? this.#begun(source, service, nowMs) : this.#used(before, nowMs, successes)
    this.#keep(next)
  }

  #keep(trusted: Trusted): void {
    const key = keyOf(trusted.source, trusted.service)
    this.#trusted.set(key, trusted)
    if (endOf(trusted) > this.#options.now()) this.#publish(trusted)
    this.onChange(key)
  }

  #recall(key: string): Trusted | undefined {
    const trusted = this.#trusted.peek(key)
    return trusted === undefined || this.#isForgotten(trusted) ? undefined : trusted
  }

  /** After its longest term it is as if it had never been here; its place is taken back when it is needed. */
  #isForgotten({ lastMs }: Trusted): boolean {
    return this.#options.now() - lastMs > this.#policy.longestMs
  }

  #begun(source: Prefix, service: string, nowMs: number): Trusted {
    const termMs = this.#policy.firstMs
    return { source, service, sinceMs: nowMs, successes: 1, lastMs: nowMs, termMs, grownMs: nowMs }
  }

  #used(before: Trusted, nowMs: number, successes: number): Trusted {
    const { factor, longestMs } = this.#policy
    const grows = nowMs - before.grownMs >= before.termMs * USE_AFTER
    return {
      ...before,
      successes: before.successes + successes,
      lastMs: nowMs,
      termMs: Math.min(longestMs, grows ? before.termMs * factor : before.termMs),
      grownMs: grows ? nowMs : before.grownMs,
    }
  }

  #publish(trusted: Trusted): void {
    const { known, slotOf, now } = this.#options
    const slot = slotOf(trusted.service)
    known.set(trusted.source, slot, Known.trusted, endOf(trusted), now())
    if (hasComeBack(trusted)) known.set(networkOf(trusted), slot, Known.trusted, endOf(trusted), now())
  }

  #forget(entries: readonly Trusted[]): void {
    for (const { source, service } of entries) {
      const key = keyOf(source, service)
      if (this.#trusted.delete(key)) this.onChange(key)
    }
    for (const trusted of entries) this.#withdraw(trusted)
  }

  /** Takes it from the path, and its network unless that has others. */
  #withdraw(trusted: Trusted): void {
    const { known, slotOf } = this.#options
    const slot = slotOf(trusted.service)
    known.delete(trusted.source, slot)
    if (!hasComeBack(trusted)) return
    const network = networkOf(trusted)
    known.delete(network, slot)
    for (const other of this.listed()) {
      if (other.service === trusted.service && covers(network, other.source)) this.#publish(other)
    }
  }
}

/** When a source is a stranger again, if it does not come back before. */
export function endOf({ lastMs, termMs }: Trusted): number {
  return lastMs + termMs
}

function hasComeBack({ grownMs, sinceMs }: Trusted): boolean {
  return grownMs > sinceMs
}

function networkOf({ source }: Trusted): Prefix {
  return widen(source, NETWORK_BITS[source.family])
}

function keyOf(source: Prefix, service: string): string {
  return `${formatPrefix(source)} ${service}`
}
