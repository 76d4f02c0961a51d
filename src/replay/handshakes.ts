import { addressBits, type Family } from '../net/prefix.ts'
import type { Attempt } from './attempt.ts'

const SIZE = 1 << 16

/**
 * Accepted SYNs, and which of them were answered. A SYN that is sent again although the SYN-ACK is out
 * belongs to a connection that conntrack knows, not to a NEW one: no rule of ours sees it. Direct-mapped
 * and bounded; a record overwritten too early makes such a repeat count as an attempt.
 */
export class Handshakes {
  readonly #tuples = new Uint32Array(SIZE)
  readonly #sequences = new Uint32Array(SIZE)
  readonly #answered = new Uint8Array(SIZE)

  /** Notes a SYN that was let through. */
  accept({ bytes, sourceAt, view }: Attempt): void {
    const tuple = hash(view.family, bytes, sourceAt, view.sourcePort, view.destinationPort)
    const at = tuple & (SIZE - 1)
    this.#tuples[at] = tuple
    this.#sequences[at] = view.tcpSequence
    this.#answered[at] = 0
  }

  /** Notes the SYN-ACK that the server sent. */
  answer({ bytes, destinationAt, view }: Attempt): void {
    const tuple = hash(view.family, bytes, destinationAt, view.destinationPort, view.sourcePort)
    const at = tuple & (SIZE - 1)
    if (this.#tuples[at] === tuple) this.#answered[at] = 1
  }

  /** Whether the SYN repeats one that was let through and answered. */
  isAnswered({ bytes, sourceAt, view }: Attempt): boolean {
    const tuple = hash(view.family, bytes, sourceAt, view.sourcePort, view.destinationPort)
    const at = tuple & (SIZE - 1)
    return this.#answered[at] === 1 && this.#tuples[at] === tuple && this.#sequences[at] === view.tcpSequence
  }
}

/** FNV-1a of the client's address and both ports, with a last mix, since the low bits are the index. */
function hash(family: Family, bytes: Uint8Array, addressAt: number, client: number, server: number): number {
  let hash = Math.imul(0x811c9dc5 ^ client, 0x01000193)
  hash = Math.imul(hash ^ server, 0x01000193)
  const end = addressAt + addressBits(family) / 8
  for (let at = addressAt; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}
