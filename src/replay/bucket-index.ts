import type { SightKey } from './first-sights.ts'

/** The words of a row: the key, the next row of its chain from 1, whether it is kept, and in two when it was seen. */
const LOW = 0
const HIGH = 1
const TAG = 2
const NEXT = 3
const KEPT = 4
const WORDS = 8
/** Where a row's double begins, in doubles. */
const SEEN = 3
const DOUBLES = 4

/**
 * Which row belongs to whom, in typed arrays of a fixed size, with chains for those whose hashes meet. Rows are
 * ordinary first, and the one not seen for longest gives way when there are too many of these; the kept stay.
 *
 * When a row was seen is noted in it, and looked at when one has to give way: to keep rows in the order of that
 * would touch three of them for each packet.
 */
export class BucketIndex {
  /** Rows that had to make room. */
  forgotten = 0
  declare private readonly most: number
  declare private readonly seed: number
  declare private readonly mask: number
  /** The first row of each chain, from 1; 0 is none. */
  declare private readonly heads: Int32Array
  declare private readonly words: Int32Array
  declare private readonly doubles: Float64Array
  /** How many sights there were. */
  private sights = 0
  readonly #kept: number[] = []
  #ordinary = 0
  #used = 0
  /** Ordinary rows as `inOrder` had them, and how far those have been looked at. */
  #queue: Float64Array = new Float64Array()
  #queueAt = 0

  /** @param most ordinary rows, and as many kept ones */
  constructor(most: number) {
    const rows = BucketIndex.rows(most)
    const chains = 2 ** Math.ceil(Math.log2(rows))
    this.most = most
    // Nothing that is told depends on it; who could foresee it could make a capture with one long chain.
    this.seed = Math.floor(Math.random() * 2 ** 32) | 0
    this.mask = chains - 1
    this.heads = new Int32Array(chains)
    this.words = new Int32Array(rows * WORDS)
    this.doubles = new Float64Array(this.words.buffer)
  }

  static rows(most: number): number {
    return 2 * most
  }

  /** The row of a key, which is seen just now, or -1. */
  find(high: number, low: number, tag: number): number {
    const row = this.peek(high, low, tag)
    if (row >= 0) this.doubles[row * DOUBLES + SEEN] = ++this.sights
    return row
  }

  /** The row of a key, or -1; it is not seen by that. */
  peek(high: number, low: number, tag: number): number {
    const words = this.words
    let row = this.heads[this.#chainOf(high, low, tag)]! - 1
    while (row >= 0) {
      const at = row * WORDS
      if (words[at + LOW] === low && words[at + HIGH] === high && words[at + TAG] === tag) return row
      row = words[at + NEXT]! - 1
    }
    return -1
  }

  /** A row for a key that `find` did not find; what it held is of another. */
  insert(high: number, low: number, tag: number): number {
    const row = this.#ordinary < this.most ? this.#used++ : this.#forgetOldest()
    const chain = this.#chainOf(high, low, tag)
    const { words } = this
    const at = row * WORDS
    words[at + LOW] = low
    words[at + HIGH] = high
    words[at + TAG] = tag
    words[at + NEXT] = this.heads[chain]!
    words[at + KEPT] = 0
    this.doubles[row * DOUBLES + SEEN] = ++this.sights
    this.heads[chain] = row + 1
    this.#ordinary++
    return row
  }

  /** Keeps `row` for good, if there is room. */
  keep(row: number): void {
    const at = row * WORDS + KEPT
    if (this.words[at] === 1 || this.#kept.length === this.most) return
    this.words[at] = 1
    this.#kept.push(row)
    this.#ordinary--
  }

  keyOf(row: number): SightKey {
    const { words } = this
    const at = row * WORDS
    return { high: words[at + HIGH]!, low: words[at + LOW]!, tag: words[at + TAG]! }
  }

  /** The kept rows, the first one first, and then the others, the one seen last first. */
  *[Symbol.iterator](): Generator<number> {
    yield* this.#kept
    for (const sight of this.#inOrder().reverse()) yield this.#rowOf(sight)
  }

  #forgetOldest(): number {
    for (;;) {
      if (this.#queueAt === this.#queue.length) {
        this.#queue = this.#inOrder()
        this.#queueAt = 0
      }
      const sight = this.#queue[this.#queueAt++]!
      const row = this.#rowOf(sight)
      // One that has been seen since is newer than all the queue.
      if (this.words[row * WORDS + KEPT] === 1 || this.#sightOf(row) !== sight) continue
      this.#unchain(row)
      this.#ordinary--
      this.forgotten++
      return row
    }
  }

  #unchain(row: number): void {
    const { words, heads } = this
    const { high, low, tag } = this.keyOf(row)
    const chain = this.#chainOf(high, low, tag)
    const next = words[row * WORDS + NEXT]!
    if (heads[chain] === row + 1) heads[chain] = next
    else {
      let before = (heads[chain]! - 1) * WORDS + NEXT
      while (words[before] !== row + 1) before = (words[before]! - 1) * WORDS + NEXT
      words[before] = next
    }
  }

  /** The ordinary rows, the one not seen for longest first, each as `sightOf` has it. */
  #inOrder(): Float64Array {
    const sights = new Float64Array(this.#ordinary)
    let count = 0
    for (let row = 0; row < this.#used; row++) {
      if (this.words[row * WORDS + KEPT] === 0) sights[count++] = this.#sightOf(row)
    }
    return sights.sort()
  }

  /** When `row` was seen, and which it is, in one number. */
  #sightOf(row: number): number {
    return this.doubles[row * DOUBLES + SEEN]! * 2 * this.most + row
  }

  #rowOf(sight: number): number {
    return sight % (2 * this.most)
  }

  #chainOf(high: number, low: number, tag: number): number {
    let hash = Math.imul(low ^ this.seed, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ high, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13) ^ tag, 0xc2b2ae35)
    return (hash ^ (hash >>> 16)) & this.mask
  }
}
