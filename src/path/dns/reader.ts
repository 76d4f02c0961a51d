import type { Prefix } from '../../net/prefix.ts'
import { networkBits } from '../bucket-keys.ts'
import type { CompiledPolicy } from '../compile.ts'
import { PathCounters } from '../counters.ts'
import type { SharedState } from '../shared.ts'
import { sourceKey } from '../source-ring.ts'
import { ReverseRate, type ReverseRateState } from './reverse-rate.ts'
import { Sweeps } from './sweeps.ts'
import type { SweepEvidence } from './walk-records.ts'

/** What a path thread has found in the reverse queries of a source, and of its network; `undefined`: it has none. */
export interface Walks {
  readonly source: SweepEvidence | undefined
  readonly network: SweepEvidence | undefined
}

/** What a path thread has found out about DNS queries, seen from another thread without disturbing it. */
export class DnsReader {
  readonly #sweeps: Sweeps
  readonly #rate: ReverseRate

  constructor({ dns, seed, counters }: SharedState) {
    const { walkers, sweeps } = new PathCounters(counters)
    this.#sweeps = new Sweeps(dns.walkers, dns.walks, seed, walkers, sweeps)
    this.#rate = new ReverseRate(dns.rate)
  }

  /** @param source an IPv4 address or an IPv6 /64. @param nowMs CLOCK_MONOTONIC, as the path's. */
  walks(source: Prefix, policy: CompiledPolicy, nowMs: number): Walks {
    const { family } = source
    const { high, low } = sourceKey(source)
    const networkLow = networkBits({ family, sourceLow: low })
    const { sweepWithinMs } = policy
    return {
      source: this.#sweeps.evidence(family, high, low, false, nowMs, sweepWithinMs),
      network: this.#sweeps.evidence(family, high, networkLow, true, nowMs, sweepWithinMs),
    }
  }

  rate(policy: CompiledPolicy, nowMs: number): ReverseRateState {
    return this.#rate.state(policy, nowMs)
  }
}
