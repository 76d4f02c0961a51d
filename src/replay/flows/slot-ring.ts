/** Slots of a table that wait for their time, in the order of time: a ring in typed arrays of a fixed size. */
export class SlotRing {
  readonly #slots: Uint32Array
  readonly #times: Float64Array
  #first = 0
  #length = 0

  constructor(most: number) {
    this.#slots = new Uint32Array(most)
    this.#times = new Float64Array(most)
  }

  get isFull(): boolean {
    return this.#length === this.#slots.length
  }

  /** When the first one's time comes; Infinity: there is none. */
  get dueMs(): number {
    return this.#length === 0 ? Number.POSITIVE_INFINITY : this.#times[this.#first]!
  }

  /** Puts `slot` behind the others, of which none is due later. The ring is not to be full. */
  push(slot: number, dueMs: number): void {
    const at = (this.#first + this.#length++) % this.#slots.length
    this.#slots[at] = slot
    this.#times[at] = dueMs
  }

  /** Takes the first one out; there is to be one. */
  take(): number {
    const slot = this.#slots[this.#first]!
    this.#first = (this.#first + 1) % this.#slots.length
    this.#length--
    return slot
  }
}
