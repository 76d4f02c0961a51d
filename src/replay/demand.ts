/** Doubles that add up to a whole number may miss it by this. */
const EPSILON = 1e-6

/**
 * What is asked of a token bucket, whether it is granted or not: how far the bucket is used up, as if it
 * had no bottom. Its peak is the burst that would have let everything through. Up to the burst of the
 * limit this is the level of the real bucket; beyond, it is the margin of the refusals.
 */
export class Demand {
  peak = 0
  #level = 0
  #atMs = 0

  /** One more attempt. @returns whether that makes a new peak. */
  draw(elapsedMs: number, ratePerSecond: number): boolean {
    const grown = ((elapsedMs - this.#atMs) / 1000) * ratePerSecond
    this.#level = Math.max(0, this.#level - grown) + 1
    this.#atMs = elapsedMs
    if (this.#level <= this.peak) return false
    this.peak = this.#level
    return true
  }

  /** The burst that lets everything through, in whole tokens. */
  get burst(): number {
    return Math.ceil(this.peak - EPSILON)
  }
}
