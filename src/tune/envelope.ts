import { RATES } from './ladders.ts'

/** Doubles that add up to a whole number may miss it by this. */
const EPSILON = 1e-6

/** The numbers of an envelope: how many attempts, when the last one was, and by rate the levels and the peaks. */
const ATTEMPTS = 0
const AT_MS = 1
const LEVELS = 2
const PEAKS = LEVELS + RATES.length

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
  /** So many places it takes in an array of numbers. */
  static readonly NUMBERS = PEAKS + RATES.length
  readonly #margin: number
  readonly #numbers: Float64Array
  readonly #begin: number

  /** @param numbers where it is kept from `begin` on, zeroed when new: objects for each of many sources took five times as much */
  constructor(margin: number, numbers: Float64Array = new Float64Array(Envelope.NUMBERS), begin = 0) {
    this.#margin = margin
    this.#numbers = numbers
    this.#begin = begin
  }

  /** One more attempt, at a time since the beginning of the capture that never goes back. */
  draw(elapsedMs: number): void {
    const numbers = this.#numbers
    const begin = this.#begin
    const margin = this.#margin
    const seconds = (elapsedMs - numbers[begin + AT_MS]!) / 1000
    numbers[begin + AT_MS] = elapsedMs
    numbers[begin + ATTEMPTS]!++
    for (let i = 0; i < RATES.length; i++) {
      const level = Math.max(0, numbers[begin + LEVELS + i]! - seconds * RATES[i]!) + margin
      numbers[begin + LEVELS + i] = level
      if (level > numbers[begin + PEAKS + i]!) numbers[begin + PEAKS + i] = level
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
    const number = (place: number) => this.#numbers[this.#begin + place]!
    if (number(ATTEMPTS) * this.#margin > rate * lapSeconds + EPSILON) return Number.POSITIVE_INFINITY
    const left = Math.max(0, number(LEVELS + step) - rate * (lapSeconds - number(AT_MS) / 1000))
    return Math.ceil(number(PEAKS + step) + left - EPSILON)
  }
}
