/** Whether something that keeps dying may be started once more: `max` times within `windowMs`. */
export class RestartLimit {
  readonly #max: number
  readonly #windowMs: number
  readonly #now: () => number
  #restarts: number[] = []

  /** @param now monotonic milliseconds. */
  constructor(max: number, windowMs: number, now: () => number) {
    this.#max = max
    this.#windowMs = windowMs
    this.#now = now
  }

  /** True counts as a restart. */
  take(): boolean {
    const nowMs = this.#now()
    this.#restarts = this.#restarts.filter((atMs) => nowMs - atMs < this.#windowMs)
    if (this.#restarts.length >= this.#max) return false
    this.#restarts.push(nowMs)
    return true
  }
}
