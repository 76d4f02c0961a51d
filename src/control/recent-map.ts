import { LRUCache } from 'lru-cache'

/** A Map of at most so many entries: beyond, the one not used for longest is forgotten. */
export class RecentMap<Key extends string | number, Value extends NonNullable<unknown>> {
  readonly #cache: LRUCache<Key, Value>

  /** @param onForgotten told of each entry that makes room for another; not of those that are deleted */
  constructor(most: number, onForgotten: (key: Key, value: Value) => void = () => {}) {
    this.#cache = new LRUCache({
      // Not by `max`, for which it would lay out all its places at once: 2 MB for each 65,536.
      maxSize: most,
      sizeCalculation: () => 1,
      dispose: (value, key, why) => {
        if (why === 'evict') onForgotten(key, value)
      },
    })
  }

  get size(): number {
    return this.#cache.size
  }

  /** The value of `key`, which is used by that. */
  get(key: Key): Value | undefined {
    return this.#cache.get(key)
  }

  /** The value of `key`; this is no use of it. */
  peek(key: Key): Value | undefined {
    return this.#cache.peek(key)
  }

  set(key: Key, value: Value): void {
    this.#cache.set(key, value)
  }

  delete(key: Key): boolean {
    return this.#cache.delete(key)
  }

  /** The one used last comes first. */
  keys(): Key[] {
    return [...this.#cache.keys()]
  }

  /** As `keys`. */
  values(): Value[] {
    return [...this.#cache.values()]
  }

  /** The one used last comes first; deleting while going through them is fine. */
  [Symbol.iterator](): Iterator<[Key, Value]> {
    return [...this.#cache.entries()].values()
  }
}
