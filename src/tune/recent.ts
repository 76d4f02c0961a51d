import { RecentMap } from '../control/recent-map.ts'

const MOST = 65_536

/** Records by key in bounded memory: the one not used for longest is forgotten, and comes back as a new one. */
export class Recent<Key extends string | number, Item extends object> {
  forgotten = 0
  readonly #items: RecentMap<Key, Item>

  constructor(most = MOST) {
    this.#items = new RecentMap(most, () => this.forgotten++)
  }

  /** The record of `key`; if it has none, what `create` makes. */
  find(key: Key, create: () => Item): Item {
    const known = this.#items.get(key)
    if (known !== undefined) return known
    const item = create()
    this.#items.set(key, item)
    return item
  }

  /** The record of `key`, if it is remembered; this is no use of it. */
  peek(key: Key): Item | undefined {
    return this.#items.peek(key)
  }

  [Symbol.iterator](): Iterator<Item> {
    return this.#items.values().values()
  }
}
