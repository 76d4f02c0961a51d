import type { Family, Prefix } from './prefix.ts'

/**
 * Values by prefix, looked up by the address in a packet, as the kernel's hash:net sets do it: one probe
 * for each prefix length in use, however many prefixes there are.
 */
export class PrefixTable<T> {
  readonly #byLength: Readonly<Record<Family, Map<number, Map<Key, T>>>> = { 4: new Map(), 6: new Map() }
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The value of exactly `prefix`. */
  get({ family, bytes, length }: Prefix): T | undefined {
    return this.#byLength[family].get(length)?.get(keyOf(family, bytes, 0, length))
  }

  set({ family, bytes, length }: Prefix, value: T): void {
    const values = this.#byLength[family].get(length) ?? new Map<Key, T>()
    this.#byLength[family].set(length, values)
    const before = values.size
    values.set(keyOf(family, bytes, 0, length), value)
    this.#size += values.size - before
  }

  /** Whether it was there. */
  delete({ family, bytes, length }: Prefix): boolean {
    const values = this.#byLength[family].get(length)
    if (values?.delete(keyOf(family, bytes, 0, length)) !== true) return false
    if (values.size === 0) this.#byLength[family].delete(length)
    this.#size--
    return true
  }

  /** All values, in no particular order; deleting while going through them is fine. */
  *values(): Generator<T> {
    for (const byLength of Object.values(this.#byLength)) {
      for (const values of byLength.values()) yield* values.values()
    }
  }

  /** Whether a prefix around the address at `bytes[at]` is there, with a value that `counts`. */
  some(family: Family, bytes: Uint8Array, at: number, counts: (value: T) => boolean = always): boolean {
    for (const [length, values] of this.#byLength[family]) {
      const value = values.get(keyOf(family, bytes, at, length))
      if (value !== undefined && counts(value)) return true
    }
    return false
  }
}

function always(): boolean {
  return true
}

type Key = number | string

/** The first `length` bits of an address: a number for IPv4, text for IPv6. */
function keyOf(family: Family, bytes: Uint8Array, at: number, length: number): Key {
  if (family === 4) return word(bytes, at, length)
  let key = `${word(bytes, at, length)}`
  for (let from = 32; from < length; from += 32) key += `,${word(bytes, at + from / 8, length - from)}`
  return key
}

/** The first `bits` bits of the 32 at `bytes[at]`. */
function word(bytes: Uint8Array, at: number, bits: number): number {
  if (bits <= 0) return 0
  const all = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  return (bits >= 32 ? all : all & (-1 << (32 - bits))) >>> 0
}
