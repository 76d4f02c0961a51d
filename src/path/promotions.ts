import type { Prefix } from '../net/prefix.ts'

/** A power of two, so that the two ends may wrap at 2^32. */
const CAPACITY = 4096
const FIELDS = 5

/** An offender: a source that has collected the strikes at which its service bans. */
export interface Promotion {
  /** An IPv4 address or an IPv6 /64. */
  readonly source: Prefix
  readonly serviceSlot: number
  readonly strikes: number
  /** CLOCK_MONOTONIC, or the capture's clock. */
  readonly atMs: number
}

/**
 * Offenders on their way from a path thread to the control thread: a ring in shared memory with one
 * writer and one reader. What does not fit is counted and forgotten: such a source stays limited, and
 * its next strikes bring it here again.
 */
export class PromotionRing {
  readonly #ends: Uint32Array
  readonly #records: Float64Array

  static readonly BYTES = 8 + CAPACITY * FIELDS * 8

  constructor(memory: SharedArrayBuffer) {
    this.#ends = new Uint32Array(memory, 0, 2)
    this.#records = new Float64Array(memory, 8)
  }

  /** False when the ring is full. */
  push(
    family: 4 | 6,
    high: number,
    low: number,
    serviceSlot: number,
    strikes: number,
    atMs: number,
  ): boolean {
    const written = this.#ends[0]!
    if ((written - Atomics.load(this.#ends, 1)) >>> 0 >= CAPACITY) return false
    const at = (written % CAPACITY) * FIELDS
    const records = this.#records
    records[at] = family * 256 + serviceSlot
    records[at + 1] = high
    records[at + 2] = low
    records[at + 3] = strikes
    records[at + 4] = atMs
    Atomics.store(this.#ends, 0, written + 1)
    return true
  }

  /** Takes all that is there, oldest first. */
  drain(): Promotion[] {
    const promotions: Promotion[] = []
    const written = Atomics.load(this.#ends, 0)
    let read = this.#ends[1]!
    for (; read !== written; read = (read + 1) >>> 0) {
      const at = (read % CAPACITY) * FIELDS
      const [kind = 0, high = 0, low = 0, strikes = 0, atMs = 0] = this.#records.subarray(at, at + FIELDS)
      const source = sourcePrefix(kind >= 6 * 256 ? 6 : 4, high, low)
      promotions.push({ source, serviceSlot: kind % 256, strikes, atMs })
    }
    Atomics.store(this.#ends, 1, read)
    return promotions
  }
}

/** The prefix that the path's two numbers for a source stand for. */
export function sourcePrefix(family: 4 | 6, high: number, low: number): Prefix {
  const bytes = new Uint8Array(family === 4 ? 4 : 16)
  const view = new DataView(bytes.buffer)
  if (family === 4) {
    view.setUint32(0, low)
    return { family, bytes, length: 32 }
  }
  view.setUint32(0, high)
  view.setUint32(4, low)
  return { family, bytes, length: 64 }
}
