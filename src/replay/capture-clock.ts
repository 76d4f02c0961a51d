/** Captures of several interfaces or CPUs are out of order by less than this; a step further back is a set clock. */
const DISORDER_MS = 10_000

/** Where elapsed time begins: an LRU cache takes the time 0 for "no time". */
const START_MS = 1

/**
 * Elapsed time as a capture has it: never backwards, as the daemon's monotonic clock. Over packets in
 * slight disorder it stands still; when the capture's clock was set back, or another capture follows that
 * is older, it goes on from there as if no time had passed between.
 */
export class CaptureClock {
  /** Time as the path and the bans need it. */
  nowMs = START_MS
  /** How often the capture's clock went back by more than disorder explains. */
  steps = 0
  #latestMs = Number.NaN
  /** From the capture's time to `nowMs`. */
  #offsetMs = 0

  /** Moves on to the capture's time of the next packet. */
  see({ timeMs }: { readonly timeMs: number }): void {
    const backMs = this.#latestMs - timeMs
    if (backMs > 0 && backMs <= DISORDER_MS) return
    // Not so for the first packet, nor after a step back.
    if (!(backMs <= 0)) {
      if (backMs > 0) this.steps++
      this.#offsetMs = this.nowMs - timeMs
    }
    this.#latestMs = timeMs
    this.nowMs = timeMs + this.#offsetMs
  }

  /** Since the first packet. */
  get elapsedMs(): number {
    return this.nowMs - START_MS
  }
}
