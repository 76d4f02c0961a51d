import type { Limit } from '../../config/policy.ts'
import { Series } from './series.ts'

/** How full a bucket was over time, and when it refused. It is taken to be full at its first attempt. */
export class Trace {
  readonly limit: Limit
  /** Tokens left after an attempt took one. */
  readonly levels = new Series()
  readonly refusals = new Series()
  #level: number
  #atMs = 0

  constructor(limit: Limit) {
    this.limit = limit
    this.#level = limit.burst
  }

  take(atMs: number): void {
    const { burst, ratePerSecond } = this.limit
    const grown = ((atMs - this.#atMs) / 1000) * ratePerSecond
    this.#level = Math.max(0, Math.min(burst, this.#level + grown) - 1)
    this.#atMs = atMs
    this.levels.add(atMs, this.#level)
  }

  refuse(atMs: number): void {
    this.refusals.add(atMs, 0)
  }
}
