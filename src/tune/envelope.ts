import { RATES } from './ladders.ts'

/** Doubles that add up to a whole number may miss it by this. */
const EPSILON = 1e-6

/**
 * The demand curve of one bucket: for each rate r of `RATES`, the burst with which a bucket of that rate
 * refuses nothing. That is the arrival envelope of network calculus: the maximum, over all intervals, of
 * n - r t, where n attempts came in the t seconds of the interval. It is the most that ever waits in a
 * queue which is served at rate r, so no window need be chosen and no attempt remembered: one level and one
 * peak for each rate, exact (R. L. Cruz, A calculus for network delay, part I, IEEE Transactions on
 * Information Theory 37(1), 1991).
 *
 * Each attempt counts `margin` times. Since margin * n - r t = margin * (n - (r / margin) t), such a limit
 * lets through `margin` times the traffic seen: bursts that much larger, at a rate that much higher.
 */
export class Envelope {
  readonly #margin: number
  readonly #levels = new Float64Array(RATES.length)
  readonly #peaks = new Float64Array(RATES.length)
  #attempts = 0
  #atMs = 0

  constructor(margin: number) {
    this.#margin = margin
  }

  /** One more attempt, at a time since the beginning of the capture that never goes back. */
  draw(elapsedMs: number): void {
    const seconds = (elapsedMs - this.#atMs) / 1000
    this.#atMs = elapsedMs
    this.#attempts++
    for (let i = 0; i < RATES.length; i++) {
      const level = Math.max(0, this.#levels[i]! - seconds * RATES[i]!) + this.#margin
      this.#levels[i] = level
      if (level > this.#peaks[i]!) this.#peaks[i] = level
    }
  }

  /**
   * The burst needed at `RATES[step]`, in whole tokens, if the capture of `lapSeconds` were repeated for
   * ever; otherwise a steady client would seem to need no more than a burst that lasts to its end. What
   * waits at the end of a lap waits at the beginning of the next, and no more does after that, if the rate
   * keeps up with the whole lap. If not, no burst is enough: Infinity.
   */
  burst(step: number, lapSeconds: number): number {
    const rate = RATES[step]!
    if (this.#attempts * this.#margin > rate * lapSeconds + EPSILON) return Number.POSITIVE_INFINITY
    const left = Math.max(0, this.#levels[step]! - rate * (lapSeconds - this.#atMs / 1000))
    return Math.ceil(this.#peaks[step]! + left - EPSILON)
  }
}
