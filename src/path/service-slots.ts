/** The slot of a packet that belongs to no service; its counters are kept there. Services have 0 to 63. */
export const NO_SERVICE = 64

/**
 * Gives each service name a number that stays the same over reloads, so that buckets keep their meaning.
 * A name that left the policy gives its number back, to be reused as late as possible.
 */
export class ServiceSlots {
  readonly #slots = new Map<string, number>()
  readonly #free = Array.from({ length: NO_SERVICE }, (_, slot) => slot)

  /** Makes `names` (at most 64) the services in use. */
  update(names: readonly string[]): void {
    for (const [name, slot] of this.#slots) {
      if (names.includes(name)) continue
      this.#slots.delete(name)
      this.#free.push(slot)
    }
    for (const name of names) {
      if (!this.#slots.has(name)) this.#slots.set(name, this.#free.shift()!)
    }
  }

  /** The slot of a name in use. */
  slotOf(name: string): number {
    return this.#slots.get(name)!
  }

  /** The name behind a slot, or `undefined` when it is free. */
  nameOf(slot: number): string | undefined {
    for (const [name, each] of this.#slots) if (each === slot) return name
    return undefined
  }
}
