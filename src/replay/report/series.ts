/** Points that are kept at most. */
const MOST = 256

/**
 * The low points of a value over time, in bounded memory: exact to the millisecond while they are few; then
 * the lowest of every 2 ms is kept, of every 4 ms, and so on.
 */
export class Series {
  readonly atMs: number[] = []
  readonly values: number[] = []
  #binMs = 1

  /** Times never go back. */
  add(atMs: number, value: number): void {
    const last = this.atMs.length - 1
    if (last >= 0 && this.#binOf(this.atMs[last]!) === this.#binOf(atMs)) {
      if (value > this.values[last]!) return
      this.atMs.pop()
      this.values.pop()
    }
    this.atMs.push(atMs)
    this.values.push(value)
    while (this.atMs.length > MOST) this.#thin()
  }

  #thin(): void {
    this.#binMs *= 2
    const atMs = this.atMs.splice(0)
    const values = this.values.splice(0)
    for (const [i, value] of values.entries()) this.add(atMs[i]!, value)
  }

  #binOf(atMs: number): number {
    return Math.floor(atMs / this.#binMs)
  }
}
