/**
 * A Map of at most so many entries: beyond, the one not used for longest is forgotten. Nothing is allocated
 * before it is needed, unlike in lru-cache, of which each 65,536 places take 2 MB and some milliseconds.
 */
export class RecentMap<Key extends string | number, Value> {
  readonly #most: number
  readonly #onForgotten: (key: Key, value: Value) => void
  /** The one not used for longest comes first. */
  readonly #entries = new Map<Key, Value>()
  /**
   * Always at the first entry: what it has passed is deleted. A new iterator would have to find its way through
   * the places of all that were deleted before.
   */
  readonly #oldest = this.#entries.keys()

  /** @param onForgotten told of each entry that makes room for another; not of those that are deleted */
  constructor(most: number, onForgotten: (key: Key, value: Value) => void = () => {}) {
    this.#most = most
    this.#onForgotten = onForgotten
  }

  get size(): number {
    return this.#entries.size
  }

  /** The value of `key`, which is used by that. */
  get(key: Key): Value | undefined {
    const value = this.#entries.get(key)
    if (value !== undefined) this.#renew(key, value)
    return value
  }

  /** The value of `key`; this is no use of it. */
  peek(key: Key): Value | undefined {
    return this.#entries.get(key)
  }

  set(key: Key, value: Value): void {
    this.#renew(key, value)
    if (this.#entries.size > this.#most) this.#forgetOldest()
  }

  delete(key: Key): boolean {
    return this.#entries.delete(key)
  }

  /** The one used last comes first. */
  keys(): Key[] {
    return [...this.#entries.keys()].reverse()
  }

  /** As `keys`. */
  values(): Value[] {
    return [...this.#entries.values()].reverse()
  }

  /** The one used last comes first; deleting while going through them is fine. */
  [Symbol.iterator](): Iterator<[Key, Value]> {
    return [...this.#entries].reverse().values()
  }

  #renew(key: Key, value: Value): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
  }

  #forgetOldest(): void {
    const key = this.#oldest.next().value as Key
    const value = this.#entries.get(key) as Value
    this.#entries.delete(key)
    this.#onForgotten(key, value)
  }
}
