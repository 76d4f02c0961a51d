import type { Family, Prefix } from './prefix.ts'

/** What a word of an address leads to: the next word, or behind the last one a value. */
type Words<T> = Map<number, Words<T> | T>

/** The prefixes of one length. */
interface SameLength<T> {
  readonly length: number
  readonly words: Words<T>
}

/**
 * Values by prefix, looked up by the address in a packet, as the kernel's hash:net sets do it: one probe
 * for each prefix length in use, however many prefixes there are. A probe is a look-up for each word of 32 bits,
 * and allocates nothing.
 */
export class PrefixTable<T> {
  readonly #lengths: Readonly<Record<Family, SameLength<T>[]>> = { 4: [], 6: [] }
  /** By the first byte of an address: how many prefixes may be around it. Most addresses of a flood end here. */
  readonly #around: Readonly<Record<Family, Uint32Array>> = {
    4: new Uint32Array(256),
    6: new Uint32Array(256),
  }
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The value of exactly `prefix`. */
  get({ family, bytes, length }: Prefix): T | undefined {
    const same = this.#lengths[family].find((each) => each.length === length)
    return same && valueIn(same, bytes, 0)
  }

  set({ family, bytes, length }: Prefix, value: T): void {
    const lengths = this.#lengths[family]
    let same = lengths.find((each) => each.length === length)
    if (same === undefined) {
      same = { length, words: new Map() }
      lengths.push(same)
    }
    let { words } = same
    let from = 0
    for (; from + 32 < length; from += 32) {
      const key = wordOf(bytes, from >> 3, 32)
      const next = (words.get(key) as Words<T> | undefined) ?? new Map()
      words.set(key, next)
      words = next
    }
    const before = words.size
    words.set(wordOf(bytes, from >> 3, length - from), value)
    if (words.size === before) return
    this.#size++
    this.#count(family, bytes[0]!, length, 1)
  }

  /** Whether it was there. */
  delete({ family, bytes, length }: Prefix): boolean {
    const lengths = this.#lengths[family]
    const at = lengths.findIndex((each) => each.length === length)
    const same = lengths[at]
    if (same === undefined || !remove(same.words, bytes, 0, length)) return false
    if (same.words.size === 0) lengths.splice(at, 1)
    this.#size--
    this.#count(family, bytes[0]!, length, -1)
    return true
  }

  /** All values, in no particular order; deleting while going through them is fine. */
  *values(): Generator<T> {
    for (const lengths of [this.#lengths[4], this.#lengths[6]]) {
      for (const { words, length } of [...lengths]) yield* valuesOf(words, length)
    }
  }

  /** Whether a prefix around the address at `bytes[at]` is there, with a value that `counts`. */
  some(family: Family, bytes: Uint8Array, at: number, counts: (value: T) => boolean = always): boolean {
    if (this.#around[family][bytes[at]!] === 0) return false
    const lengths = this.#lengths[family]
    for (let i = 0; i < lengths.length; i++) {
      const value = valueIn(lengths[i]!, bytes, at)
      if (value !== undefined && counts(value)) return true
    }
    return false
  }

  #count(family: Family, first: number, length: number, by: number): void {
    const bytes = 2 ** Math.max(0, 8 - length)
    const from = first - (first % bytes)
    for (let byte = from; byte < from + bytes; byte++) this.#around[family][byte]! += by
  }
}

function always(): boolean {
  return true
}

function valueIn<T>({ words, length }: SameLength<T>, bytes: Uint8Array, at: number): T | undefined {
  let found: Words<T> | T | undefined = words
  let from = 0
  for (; from + 32 < length; from += 32) {
    found = (found as Words<T>).get(wordOf(bytes, at + (from >> 3), 32))
    if (found === undefined) return undefined
  }
  return (found as Words<T>).get(wordOf(bytes, at + (from >> 3), length - from)) as T | undefined
}

/** @param length bits of the prefix from `bytes[at]` on */
function remove<T>(words: Words<T>, bytes: Uint8Array, at: number, length: number): boolean {
  const key = wordOf(bytes, at, Math.min(32, length))
  if (length <= 32) return words.delete(key)
  const next = words.get(key) as Words<T> | undefined
  if (next === undefined || !remove(next, bytes, at + 4, length - 32)) return false
  if (next.size === 0) words.delete(key)
  return true
}

function* valuesOf<T>(words: Words<T>, length: number): Generator<T> {
  for (const found of words.values()) {
    if (length <= 32) yield found as T
    else yield* valuesOf(found as Words<T>, length - 32)
  }
}

/** The first `bits` bits of the 32 at `bytes[at]`, signed: V8 keeps such a number without a box. */
function wordOf(bytes: Uint8Array, at: number, bits: number): number {
  if (bits <= 0) return 0
  const all = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  return bits >= 32 ? all : all & (-1 << (32 - bits))
}
