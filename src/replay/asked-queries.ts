import { addressBits, type Family } from '../net/prefix.ts'
import type { Attempt } from './attempt.ts'

const SETS = 2 ** 14
const WAYS = 4

/** Defaults of the kernel: net.netfilter.nf_conntrack_udp_timeout and nf_conntrack_udp_timeout_stream. */
const TIMEOUT_MS = 30_000
const STREAM_TIMEOUT_MS = 120_000

/** From this age on, a flow with packets both ways is a stream (nf_conntrack_udp_packet in the kernel). */
const STREAM_AGE_MS = 2000

/**
 * The queries that this host has sent to port 53, as far as conntrack remembers them: what comes back along one of
 * these flows is no unsolicited answer. A table of 1.3 MB in sets of four, in which the flow that ends first gives way; the
 * answer to a forgotten query counts as unsolicited.
 */
export class AskedQueries {
  readonly #tuples = new Uint32Array(SETS * WAYS)
  readonly #streamFromMs = new Float64Array(SETS * WAYS)
  readonly #untilMs = new Float64Array(SETS * WAYS)
  readonly #isAnswered = new Uint8Array(SETS * WAYS)

  /** Takes note of a datagram to port 53 of another host. */
  ask({ view, bytes, sourceAt, destinationAt, nowMs }: Attempt): void {
    const tuple = hash(view.family, bytes, sourceAt, destinationAt, view.sourcePort)
    let at = this.#find(tuple, nowMs)
    if (at < 0) {
      at = this.#victim(tuple)
      this.#tuples[at] = tuple
      this.#streamFromMs[at] = nowMs + STREAM_AGE_MS
      this.#isAnswered[at] = 0
    }
    this.#refresh(at, nowMs)
  }

  /** Whether a datagram from port 53 comes back along a flow that this host has begun. */
  isAnswer({ view, bytes, sourceAt, destinationAt, nowMs }: Attempt): boolean {
    const tuple = hash(view.family, bytes, destinationAt, sourceAt, view.destinationPort)
    const at = this.#find(tuple, nowMs)
    if (at < 0) return false
    this.#refresh(at, nowMs)
    this.#isAnswered[at] = 1
    return true
  }

  #refresh(at: number, nowMs: number): void {
    const isStream = this.#isAnswered[at] === 1 && nowMs > this.#streamFromMs[at]!
    this.#untilMs[at] = nowMs + (isStream ? STREAM_TIMEOUT_MS : TIMEOUT_MS)
  }

  #find(tuple: number, nowMs: number): number {
    const first = (tuple & (SETS - 1)) * WAYS
    for (let at = first; at < first + WAYS; at++) {
      if (this.#tuples[at] === tuple && this.#untilMs[at]! > nowMs) return at
    }
    return -1
  }

  #victim(tuple: number): number {
    const first = (tuple & (SETS - 1)) * WAYS
    let victim = first
    for (let at = first; at < first + WAYS; at++) {
      if (this.#untilMs[at]! < this.#untilMs[victim]!) victim = at
    }
    return victim
  }
}

/** FNV-1a of both addresses and the port of the one that asks, with a last mix, since the low bits are the index. */
function hash(family: Family, bytes: Uint8Array, askerAt: number, serverAt: number, port: number): number {
  let hash = Math.imul(0x811c9dc5 ^ port, 0x01000193)
  for (let i = 0; i < addressBits(family) / 8; i++) {
    hash = Math.imul(hash ^ bytes[askerAt + i]!, 0x01000193)
    hash = Math.imul(hash ^ bytes[serverAt + i]!, 0x01000193)
  }
  return (hash ^ (hash >>> 15)) >>> 0
}
