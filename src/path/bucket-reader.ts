import type { Prefix } from '../net/prefix.ts'
import { type CompiledPolicy, LIMIT_KINDS, type LimitKind } from './compile.ts'
import { PathCounters } from './counters.ts'
import { bucketTag, networkBits } from './limits.ts'
import type { SharedState } from './shared.ts'
import { sourceKey } from './source-ring.ts'
import { BucketTable } from './table.ts'

/** A bucket as it is at one moment, in the terms of the policy. */
export interface BucketReading {
  readonly kind: LimitKind
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

  constructor(shared: SharedState) {
    const counters = new PathCounters(shared.counters)
    this.#sources = new BucketTable(shared.sources, counters.sources, shared.seed)
    this.#networks = new BucketTable(shared.networks, counters.networks, shared.seed)
    this.#totalFullAtMs = new Float64Array(shared.totals)
  }

  /** @param source an IPv4 address or an IPv6 /64. @param nowMs CLOCK_MONOTONIC, as the path's. */
  read(source: Prefix, service: number, policy: CompiledPolicy, nowMs: number): SourceReading {
    const { high, low } = sourceKey(source)
    const tag = bucketTag(service, source.family)
    const slot = this.#sources.find(high, low, tag)
    const networkLow = networkBits({ family: source.family, sourceLow: low })
    const network = this.#networks.find(high, networkLow, tag)
    // A bucket that is in no table is full.
    const fullAtMs = [
      slot < 0 ? 0 : this.#sources.fullAtMs[slot]!,
      network < 0 ? 0 : this.#networks.fullAtMs[network]!,
      this.#totalFullAtMs[service]!,
    ]
    const buckets = LIMIT_KINDS.flatMap((kind, i) => {
      const at = service * LIMIT_KINDS.length + i
      const intervalMs = policy.intervalMs[at]!
      return intervalMs === 0
        ? []
        : [reading(kind, fullAtMs[i]! - nowMs, intervalMs, policy.toleranceMs[at]!)]
    })
    const window = policy.strikeWindowSeconds[service]!
    const strikes = slot < 0 ? { count: 0, leftMs: 0 } : this.#sources.strikesOf(slot, nowMs, window)
    return { buckets, strikes: strikes.count, strikesLeftMs: strikes.leftMs }
  }

  /**
   * Fills the bucket of `source` and clears its strikes. The path may just now write to the same slot: then
   * one attempt more or less counts.
   */
  clear(source: Prefix, service: number): void {
    const { high, low } = sourceKey(source)
    const slot = this.#sources.find(high, low, bucketTag(service, source.family))
    if (slot < 0) return
    this.#sources.fullAtMs[slot] = 0
    this.#sources.clearStrikes(slot)
  }
}

/** The GCRA of limits.ts read as a token bucket: each interval of debt is a token that is missing. */
function reading(kind: LimitKind, aheadMs: number, intervalMs: number, toleranceMs: number): BucketReading {
  const debtMs = Math.min(Math.max(0, aheadMs), toleranceMs + intervalMs)
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
