import type { Prefix } from '../net/prefix.ts'
import type { PacketView } from './decode.ts'
import { sourceKey } from './source-ring.ts'

const SIZE_BITS = 14
const HEADER_BYTES = 20
/** RFC 9293, section 3.1, and RFC 7323, section 3.2. */
const END_OF_OPTIONS = 0
const NO_OPERATION = 1
const TIMESTAMPS = 8
const TIMESTAMPS_BYTES = 10

/**
 * Whether the SYN or SYN-ACK in `bytes[start, end)`, which begins with its TCP header, has the option of
 * timestamps. A connection has them in each packet if both had. -1: it was cut off before that can be told.
 */
export function hasTimestamps(bytes: Uint8Array, start: number, end: number): 0 | 1 | -1 {
  const optionsEnd = start + ((bytes[start + 12]! >>> 4) << 2)
  let at = start + HEADER_BYTES
  while (at < optionsEnd) {
    if (optionsEnd > end) return -1
    const kind = bytes[at]!
    if (kind === END_OF_OPTIONS) return 0
    if (kind === NO_OPERATION) at++
    else {
      const length = bytes[at + 1]!
      // As tcp_parse_options in net/ipv4/tcp_input.c.
      if (length < 2 || at + length > optionsEnd) return 0
      if (kind === TIMESTAMPS && length === TIMESTAMPS_BYTES) return 1
      at += length
    }
  }
  return 0
}

/**
 * Remembers of SYNs that were let through whether they have TCP timestamps: so much is to be known of a session
 * to tell its payload from its headers. Direct-mapped, in shared memory, with one writer, the path thread, and
 * one reader, the control thread, which asks within seconds. Entries are single words, so none is seen half
 * written. One that was overwritten, or never written because the queue was full, costs this: its session is
 * judged only if that comes out the same either way.
 */
export class Timestamps {
  static readonly BYTES = 4 << SIZE_BITS

  /** By the upper bits of a mark: the mark, with what is known in its lowest bit. */
  declare private readonly marks: Int32Array
  declare private readonly seed: number

  /** @param seed random, so that nobody can aim at the entry of another */
  constructor(memory: SharedArrayBuffer, seed: number) {
    this.marks = new Int32Array(memory)
    this.seed = seed | 0
  }

  /** For the path: notes the SYN in `view`, which was read from `bytes`. */
  note(view: PacketView, bytes: Uint8Array): void {
    const mark = this.#markOf(view.sourceHigh, view.sourceLow, view.sourcePort)
    const has = hasTimestamps(bytes, view.tcpStart, view.tcpEnd)
    this.marks[mark >>> (32 - SIZE_BITS)] = has < 0 ? 0 : mark | has
  }

  /** For the control thread: of the last SYN of `port` of `source`, an IPv4 address or IPv6 /64; if it is known. */
  of(source: Prefix, port: number): boolean | undefined {
    const { high, low } = sourceKey(source)
    const mark = this.#markOf(high, low, port)
    const found = Atomics.load(this.marks, mark >>> (32 - SIZE_BITS))
    return (found & ~1) === mark ? (found & 1) === 1 : undefined
  }

  /** Its lowest bit is 0. */
  #markOf(high: number, low: number, port: number): number {
    let mark = Math.imul(low ^ this.seed, 0x9e3779b1)
    mark = Math.imul(mark ^ (mark >>> 15) ^ high, 0x85ebca6b)
    mark = Math.imul(mark ^ (mark >>> 13) ^ port, 0xc2b2ae35)
    mark = Math.imul(mark ^ (mark >>> 16), 0x27d4eb2f)
    return (mark ^ (mark >>> 15)) & ~1
  }
}
