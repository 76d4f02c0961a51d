/**
 * What ends some time, the next to end first: a binary heap. What is gone before its end stays in it until it
 * comes up; who asks must know what is still there.
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
