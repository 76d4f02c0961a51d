import type { Prefix } from '../net/prefix.ts'
import type { PacketView } from './decode.ts'

/** A power of two, so that the two ends may wrap at 2^32. */
const CAPACITY = 4096
const FIELDS = 5

/** A source that a path thread hands to the control thread. */
export interface HandedOver {
  /** An IPv4 address or an IPv6 /64. */
  readonly source: Prefix
  readonly serviceSlot: number
  /** In the ring of promotions the strikes of the offender; in that of holds the prefix length to hold. */
  readonly detail: number
  /** CLOCK_MONOTONIC, or the capture's clock. */
  readonly atMs: number
}

/**
 * Sources on their way from a path thread to the control thread: a ring in shared memory with one writer
 * and one reader. What does not fit is counted and forgotten: such a source stays limited, and its next
 * refusals bring it here again.
 */
export class SourceRing {
  declare private readonly ends: Uint32Array
  declare private readonly records: Float64Array

  static readonly BYTES = 8 + CAPACITY * FIELDS * 8

  constructor(memory: SharedArrayBuffer) {
    this.ends = new Uint32Array(memory, 0, 2)
    this.records = new Float64Array(memory, 8)
  }

  /** Hands over the source of `view`. False when the ring is full. */
  push(view: PacketView, serviceSlot: number, detail: number, atMs: number): boolean {
    const written = this.ends[0]!
    if ((written - Atomics.load(this.ends, 1)) >>> 0 >= CAPACITY) return false
    const at = (written % CAPACITY) * FIELDS
    const records = this.records
    records[at] = view.family * 256 + serviceSlot
    records[at + 1] = view.sourceHigh
    records[at + 2] = view.sourceLow
    records[at + 3] = detail
    records[at + 4] = atMs
    Atomics.store(this.ends, 0, written + 1)
    return true
  }

  /** Takes all that is there, oldest first. */
  drain(): HandedOver[] {
    const drained: HandedOver[] = []
    const written = Atomics.load(this.ends, 0)
    let read = this.ends[1]!
    for (; read !== written; read = (read + 1) >>> 0) {
      const at = (read % CAPACITY) * FIELDS
      const [kind = 0, high = 0, low = 0, detail = 0, atMs = 0] = this.records.subarray(at, at + FIELDS)
      const source = sourcePrefix(kind >= 6 * 256 ? 6 : 4, high, low)
      drained.push({ source, serviceSlot: kind % 256, detail, atMs })
    }
    Atomics.store(this.ends, 1, read)
    return drained
  }
}

/** The path's two numbers for a source: the inverse of `sourcePrefix`. */
export function sourceKey({ family, bytes }: Prefix): { high: number; low: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  if (family === 4) return { high: 0, low: view.getInt32(0) }
  return { high: view.getInt32(0), low: view.getInt32(4) }
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
