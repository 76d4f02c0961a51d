import type { Prefix } from '../net/prefix.ts'
import type { DnsMessage } from './dns/message.ts'

/** A power of two, so that the two ends may wrap at 2^32. */
const CAPACITY = 4096
const FIELDS = 7

/** A reverse lookup that a program of this host has begun. */
export interface OwnLookup {
  /** The address that is looked up, whole. */
  readonly address: Prefix
  /** Of the DNS message: a question that is repeated keeps it. */
  readonly id: number
  /** It goes to a resolver on this host, which may ask on. */
  readonly isLocal: boolean
  /** CLOCK_MONOTONIC. */
  readonly atMs: number
}

/**
 * Reverse lookups on their way from the thread that sees them to the control thread: a ring in shared memory
 * with one writer and one reader. What does not fit is not counted for anybody.
 */
export class LookupRing {
  static readonly BYTES = 8 + CAPACITY * FIELDS * 8
  readonly #ends: Uint32Array
  readonly #records: Float64Array

  constructor(memory: SharedArrayBuffer) {
    this.#ends = new Uint32Array(memory, 0, 2)
    this.#records = new Float64Array(memory, 8)
  }

  /** Hands over the lookup of the whole address in `message`. False when the ring is full. */
  push(message: DnsMessage, id: number, isLocal: boolean, atMs: number): boolean {
    const written = this.#ends[0]!
    if ((written - Atomics.load(this.#ends, 1)) >>> 0 >= CAPACITY) return false
    const at = (written % CAPACITY) * FIELDS
    const records = this.#records
    records[at] = message.family * 2 + (isLocal ? 1 : 0)
    for (let word = 0; word < 4; word++) records[at + 1 + word] = message.address[word]!
    records[at + 5] = id
    records[at + 6] = atMs
    Atomics.store(this.#ends, 0, written + 1)
    return true
  }

  /** Takes all that is there, oldest first. */
  drain(): OwnLookup[] {
    const drained: OwnLookup[] = []
    const written = Atomics.load(this.#ends, 0)
    let read = this.#ends[1]!
    for (; read !== written; read = (read + 1) >>> 0) {
      const at = (read % CAPACITY) * FIELDS
      const [kind = 0, ...words] = this.#records.subarray(at, at + FIELDS)
      const family = kind >= 12 ? 6 : 4
      const bytes = new Uint8Array(family === 4 ? 4 : 16)
      const view = new DataView(bytes.buffer)
      for (let word = 0; word * 4 < bytes.length; word++) view.setUint32(word * 4, words[word]!)
      drained.push({
        address: { family, bytes, length: bytes.length * 8 },
        isLocal: kind % 2 === 1,
        id: words[4]!,
        atMs: words[5]!,
      })
    }
    Atomics.store(this.#ends, 1, read)
    return drained
  }
}
