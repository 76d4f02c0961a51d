import { LRUCache } from 'lru-cache'
import { formatPrefix, type Prefix } from '../net/prefix.ts'

export interface OffendersOptions {
  /** Sources remembered; beyond it the one that offended longest ago is forgotten, and starts afresh. */
  readonly max: number
  readonly memoryMs: number
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** How often each source has offended, as far back as `memoryMs` without an offence. */
export class Offenders {
  readonly #offences: LRUCache<string, number>

  constructor({ max, memoryMs, now }: OffendersOptions) {
    this.#offences = new LRUCache({ max, ttl: memoryMs, ttlResolution: 0, perf: { now } })
  }

  /** Counts for offences from now on. */
  set memoryMs(ms: number) {
    this.#offences.ttl = ms
  }

  /** Remembers one more offence of `source`; returns how many that makes. */
  offend(source: Prefix): number {
    const key = formatPrefix(source)
    const offences = (this.#offences.get(key) ?? 0) + 1
    this.#offences.set(key, offences)
    return offences
  }

  /** `source` starts afresh. */
  forget(source: Prefix): void {
    this.#offences.delete(formatPrefix(source))
  }
}
