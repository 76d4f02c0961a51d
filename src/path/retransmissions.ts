import type { PacketView } from './decode.ts'

const SIZE = 1 << 16

/** The longest pause between two SYNs of one attempt: Linux doubles from 1 s, tcp_syn_retries 6 (tcp(7)). */
const MEMORY_MS = 66_000

/**
 * Remembers refused SYNs, so that the kernel of an honest client that repeats one is not taken for a
 * second attempt. Direct-mapped and bounded; a record that is overwritten too early costs its sender at
 * most one undeserved strike.
 */
export class Retransmissions {
  readonly #marks = new Uint32Array(SIZE)
  readonly #atMs = new Float64Array(SIZE)
  readonly #seed: number

  constructor(seed: number) {
    this.#seed = seed
  }

  /** Notes the refused SYN in `view`; true if it had been refused before: same source, ports and sequence number. */
  seen(view: PacketView, nowMs: number): boolean {
    let mark = Math.imul(view.tcpSequence ^ this.#seed, 0x9e3779b1)
    mark = Math.imul(mark ^ (mark >>> 15) ^ view.sourceLow, 0x85ebca6b)
    mark = Math.imul(mark ^ (mark >>> 13) ^ view.sourceHigh, 0xc2b2ae35)
    mark = Math.imul(mark ^ (mark >>> 16) ^ ((view.sourcePort << 16) | view.destinationPort), 0x27d4eb2f)
    mark = (mark ^ (mark >>> 15)) >>> 0
    const at = mark & (SIZE - 1)
    const isRepeat = this.#marks[at] === mark && nowMs - this.#atMs[at]! < MEMORY_MS
    this.#marks[at] = mark
    this.#atMs[at] = nowMs
    return isRepeat
  }
}
