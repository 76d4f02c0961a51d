import type { PacketView } from './decode.ts'
import { ReadAhead } from './read-ahead.ts'

const SIZE = 1 << 16
const RECORD_BYTES = 16

/** The longest pause between two SYNs of one attempt: Linux doubles from 1 s, tcp_syn_retries 6 (tcp(7)). */
const MEMORY_MS = 66_000

/**
 * Remembers refused SYNs, so that the kernel of an honest client that repeats one is not taken for a
 * second attempt. Direct-mapped and bounded; a record that is overwritten too early costs its sender at
 * most one undeserved strike.
 */
export class Retransmissions {
  /** Records of 16 bytes, so that a look-up is one cache line: the time as a double, then the mark. */
  declare private readonly marks: Int32Array
  declare private readonly atMs: Float64Array
  declare private readonly seed: number
  declare readonly ahead: ReadAhead

  constructor(seed: number) {
    const memory = new ArrayBuffer(SIZE * RECORD_BYTES)
    this.marks = new Int32Array(memory)
    this.atMs = new Float64Array(memory)
    this.seed = seed | 0
    this.ahead = new ReadAhead(this.marks)
  }

  /** Notes the refused SYN in `view`; true if it had been refused before: same source, ports and sequence number. */
  seen(view: PacketView, nowMs: number): boolean {
    const mark = this.#markOf(view)
    const at = mark & (SIZE - 1)
    const isRepeat = this.marks[4 * at + 2] === mark && nowMs - this.atMs[2 * at]! < MEMORY_MS
    this.marks[4 * at + 2] = mark
    this.atMs[2 * at] = nowMs
    return isRepeat
  }

  /** Notes what `seen` will look at for `view`: it is in the cache after `ahead.fetch`. */
  expect(view: PacketView): void {
    this.ahead.note(4 * (this.#markOf(view) & (SIZE - 1)))
  }

  #markOf(view: PacketView): number {
    let mark = Math.imul(view.tcpSequence ^ this.seed, 0x9e3779b1)
    mark = Math.imul(mark ^ (mark >>> 15) ^ view.sourceLow, 0x85ebca6b)
    mark = Math.imul(mark ^ (mark >>> 13) ^ view.sourceHigh, 0xc2b2ae35)
    mark = Math.imul(mark ^ (mark >>> 16) ^ ((view.sourcePort << 16) | view.destinationPort), 0x27d4eb2f)
    return mark ^ (mark >>> 15)
  }
}
