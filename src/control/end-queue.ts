/** So many items that are gone may wait in a queue, and as many as there are, before it is made anew. */
const GONE_MOST = 1024

/**
 * What ends some time, the next to end first: a binary heap, since a search for each of a wave of bans would cost its
 * square. What is gone before its end stays in it until it comes up; who asks must know what is still there.
 */
export class EndQueue<Item extends { readonly endMs: number }> {
  #heap: Item[] = []

  /** How many are in it, those that are gone included. */
  get size(): number {
    return this.#heap.length
  }

  /** The one that ends next. */
  get first(): Item | undefined {
    return this.#heap[0]
  }

  /** Takes in `item`, which is one of the `living`; with too many that are gone it begins anew with these. */
  add(item: Item, living: { readonly size: number; values(): Iterable<Item> }): void {
    if (this.size < 2 * living.size + GONE_MOST) this.push(item)
    else this.reset(living.values())
  }

  /** Begins anew with `items`. */
  reset(items: Iterable<Item>): void {
    // In order is a heap too.
    this.#heap = [...items].sort((a, b) => a.endMs - b.endMs)
  }

  push(item: Item): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(item)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.endMs <= item.endMs) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = item
  }

  /** Takes those that have ended by `nowMs`, one after the other. */
  *ended(nowMs: number): Generator<Item> {
    while (this.first !== undefined && this.first.endMs <= nowMs) yield this.pop()!
  }

  /** Takes the one that ends next. */
  pop(): Item | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.endMs < heap[child]!.endMs) child++
      if (heap[child]!.endMs >= last.endMs) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}
