import type { Family, Prefix } from '../net/prefix.ts'
import { bucketTag, DNS_TCP_TAG, KNOWN_TAG, networkBits } from './bucket-keys.ts'
import {
  type CompiledPolicy,
  KNOWN_LIMIT,
  LIMIT_KINDS,
  LIMIT_SETS,
  LIMITS_PER_SLOT,
  type LimitKind,
} from './compile.ts'
import { PathCounters } from './counters.ts'
import { Known, KnownGood } from './known-good.ts'
import { NO_SERVICE } from './service-slots.ts'
import type { SharedState } from './shared.ts'
import { sourceKey, sourcePrefix } from './source-ring.ts'
import { BucketTable } from './table.ts'

/** A bucket as it is at one moment, in the terms of the policy. */
export interface BucketReading {
  /** `known`: the source is known good, and this is its only bucket. */
  readonly kind: LimitKind | 'known'
  readonly burst: number
  readonly ratePerSecond: number
  /** 0 to `burst`, with a fraction. */
  readonly tokens: number
  /** Until the next whole token has grown; 0 when the bucket is full. */
  readonly nextTokenMs: number
  /** Until an attempt finds a token; 0: now. */
  readonly waitMs: number
  readonly fullMs: number
}

/** What the path knows of one source and service. */
export interface SourceReading {
  /** In the order in which the path asks them. */
  readonly buckets: readonly BucketReading[]
  readonly strikes: number
  /** Until the strikes are forgotten. */
  readonly strikesLeftMs: number
}

/**
 * The buckets of a path thread, seen from another thread without disturbing it. A reading may be an attempt
 * older or newer than the path's.
 */
export class BucketReader {
  readonly #sources: BucketTable
  readonly #networks: BucketTable
  readonly #totalFullAtMs: Float64Array
  readonly #known: KnownGood

  constructor(shared: SharedState) {
    const counters = new PathCounters(shared.counters)
    this.#sources = new BucketTable(shared.sources, counters.sources, shared.seed)
    this.#networks = new BucketTable(shared.networks, counters.networks, shared.seed)
    this.#totalFullAtMs = new Float64Array(shared.totals)
    this.#known = new KnownGood(shared.known)
  }

  /** @param source an IPv4 address or an IPv6 /64. @param nowMs CLOCK_MONOTONIC, as the path's. */
  read(source: Prefix, service: number, policy: CompiledPolicy, nowMs: number): SourceReading {
    const slot = this.#slotOf(source, service)
    const window = policy.strikeWindowSeconds[service]!
    const strikes = slot < 0 ? { count: 0, leftMs: 0 } : this.#sources.strikesOf(slot, nowMs, window)
    const buckets = this.#buckets(source, service, policy, nowMs).flatMap(({ kind, limit, fullAtMs }) =>
      policy.intervalMs[limit]! === 0 ? [] : [reading(kind, fullAtMs, limit, policy, nowMs)],
    )
    return { buckets, strikes: strikes.count, strikesLeftMs: strikes.leftMs }
  }

  /**
   * The buckets of DNS queries beside those of their service: of a service slot those of connections over TCP, and of
   * `DnsSet` what queries of that kind draw from. As a stranger has them: whoever is known good is spared some.
   */
  readDns(source: Prefix, set: number, policy: CompiledPolicy, nowMs: number): BucketReading[] {
    const { high, low } = sourceKey(source)
    const isService = set < NO_SERVICE
    const tag = bucketTag(set, source.family) ^ (isService ? DNS_TCP_TAG : 0)
    const networkLow = networkBits({ family: source.family, sourceLow: low })
    const fullAtMs = [
      fullAt(this.#sources, this.#sources.find(high, low, tag)),
      fullAt(this.#networks, this.#networks.find(high, networkLow, tag)),
      this.#totalFullAtMs[isService ? LIMIT_SETS + set : set]!,
    ]
    return LIMIT_KINDS.flatMap((kind, i) => {
      const limit = set * LIMITS_PER_SLOT + i
      return policy.intervalMs[limit]! === 0 ? [] : [reading(kind, fullAtMs[i]!, limit, policy, nowMs)]
    })
  }

  /** Those that an attempt draws from, as in `Limits.admit`, and each with the index of its limit. */
  #buckets(source: Prefix, service: number, policy: CompiledPolicy, nowMs: number) {
    const { high, low } = sourceKey(source)
    const view = { family: source.family, sourceHigh: high, sourceLow: low }
    const first = service * LIMITS_PER_SLOT
    const knownLimit = first + KNOWN_LIMIT
    const hasKnown = policy.intervalMs[knownLimit]! !== 0
    if (hasKnown && this.#known.source(view, service, nowMs) !== Known.none) {
      const fullAtMs = fullAt(this.#sources, this.#slotOf(source, service, KNOWN_TAG))
      return [{ kind: 'known' as const, limit: knownLimit, fullAtMs }]
    }
    const networkLow = networkBits(view)
    const network = this.#networks.find(high, networkLow, bucketTag(service, source.family))
    const fullAtMs = [
      fullAt(this.#sources, this.#slotOf(source, service)),
      fullAt(this.#networks, network),
      this.#totalFullAtMs[service]!,
    ]
    const isSpared = hasKnown && this.#known.network(view, networkLow, service, nowMs) !== Known.none
    const kinds = isSpared ? LIMIT_KINDS.filter((kind) => kind !== 'total') : LIMIT_KINDS
    return kinds.map((kind, i) => ({ kind, limit: first + i, fullAtMs: fullAtMs[i]! }))
  }

  #slotOf(source: Prefix, service: number, more = 0): number {
    const { high, low } = sourceKey(source)
    return this.#sources.find(high, low, bucketTag(service, source.family) ^ more)
  }

  /**
   * When the bucket of `source` is, or was, full again: shortly after its last attempt that was let through.
   * `undefined` where none is remembered.
   */
  fullAtMs(source: Prefix, service: number): number | undefined {
    const slots = [0, KNOWN_TAG].map((tag) => this.#slotOf(source, service, tag)).filter((slot) => slot >= 0)
    return slots.length === 0 ? undefined : Math.max(...slots.map((slot) => this.#sources.fullAtMs[slot]!))
  }

  /** Sources that had been asking `service` for `leastMs` at `atMs`, without a pause or a refusal. */
  *residents(service: number, family: Family, atMs: number, leastMs: number): Generator<Prefix> {
    for (const { slot, high, low } of this.#sources.slotsOf(bucketTag(service, family))) {
      if (this.#sources.attendedMs(slot, atMs) >= leastMs) yield sourcePrefix(family, high, low)
    }
  }

  /**
   * Fills the bucket of `source` and clears its strikes. The path may just now write to the same slot: then
   * one attempt more or less counts.
   */
  clear(source: Prefix, service: number): void {
    for (const tag of [0, KNOWN_TAG, DNS_TCP_TAG]) {
      const slot = this.#slotOf(source, service, tag)
      if (slot < 0) continue
      this.#sources.fullAtMs[slot] = 0
      this.#sources.clearStrikes(slot)
    }
  }
}

/** A bucket that is in no table is full. */
function fullAt({ fullAtMs }: BucketTable, slot: number): number {
  return slot < 0 ? 0 : fullAtMs[slot]!
}

/** The GCRA of limits.ts read as a token bucket: each interval of debt is a token that is missing. */
function reading(
  kind: BucketReading['kind'],
  fullAtMs: number,
  limit: number,
  policy: CompiledPolicy,
  nowMs: number,
): BucketReading {
  const intervalMs = policy.intervalMs[limit]!
  const toleranceMs = policy.toleranceMs[limit]!
  const debtMs = Math.min(Math.max(0, fullAtMs - nowMs), toleranceMs + intervalMs)
  const missing = debtMs / intervalMs
  return {
    kind,
    burst: Math.round(toleranceMs / intervalMs) + 1,
    ratePerSecond: 1000 / intervalMs,
    tokens: toleranceMs / intervalMs + 1 - missing,
    nextTokenMs: debtMs === 0 ? 0 : debtMs - (Math.ceil(missing) - 1) * intervalMs,
    waitMs: Math.max(0, debtMs - toleranceMs),
    fullMs: debtMs,
  }
}
