interface Bucket {
  tokens: number
  atMs: number
  suppressed: number
}

export interface LogLimiterOptions {
  readonly burst: number
  readonly perSecond: number
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/**
 * A token bucket for each kind of event, so that an attacker cannot fill the disk with what he causes.
 * Event names are a closed set in this program: the map cannot grow.
 */
export class LogLimiter {
  readonly #options: LogLimiterOptions
  readonly #buckets = new Map<string, Bucket>()

  constructor(options: LogLimiterOptions) {
    this.#options = options
  }

  /** Whether `event` may be logged now. If not, it is counted. */
  take(event: string): boolean {
    const bucket = this.#refilled(event)
    if (bucket.tokens < 1) {
      bucket.suppressed++
      return false
    }
    bucket.tokens--
    return true
  }

  /** How many events of each kind were not logged, for those that may be logged again. Forgets them. */
  drainSuppressed(): { event: string; suppressed: number }[] {
    return [...this.#buckets.keys()].flatMap((event) => {
      const bucket = this.#refilled(event)
      const { suppressed } = bucket
      if (suppressed === 0 || bucket.tokens < 1) return []
      bucket.suppressed = 0
      return [{ event, suppressed }]
    })
  }

  #refilled(event: string): Bucket {
    const { burst, perSecond, now } = this.#options
    const atMs = now()
    const bucket = this.#buckets.get(event) ?? { tokens: burst, atMs, suppressed: 0 }
    bucket.tokens = Math.min(burst, bucket.tokens + ((atMs - bucket.atMs) / 1000) * perSecond)
    bucket.atMs = atMs
    this.#buckets.set(event, bucket)
    return bucket
  }
}
