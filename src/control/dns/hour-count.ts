const MINUTE_MS = 60_000
const MINUTES = 60

/** How often something has happened in the last hour, to the minute, in constant memory. */
export class HourCount {
  total = 0
  readonly #minutes = new Float64Array(MINUTES)
  #minute = Number.NEGATIVE_INFINITY

  /** @param nowMs any clock that does not go back. */
  add(nowMs: number): void {
    this.#advance(nowMs)
    this.total++
    this.#minutes[this.#minute % MINUTES]!++
  }

  lastHour(nowMs: number): number {
    this.#advance(nowMs)
    return this.#minutes.reduce((sum, count) => sum + count, 0)
  }

  #advance(nowMs: number): void {
    const minute = Math.floor(nowMs / MINUTE_MS)
    const passed = Math.min(MINUTES, minute - this.#minute)
    for (let i = 0; i < passed; i++) this.#minutes[(minute - i) % MINUTES] = 0
    this.#minute = Math.max(this.#minute, minute)
  }
}
