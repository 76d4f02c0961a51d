import type { Family } from '../net/prefix.ts'
import type { PacketView } from './decode.ts'

/**
 * DNS over TCP has buckets of its own, with the same limits: whoever comes back over TCP since his datagrams were
 * refused, or those of a flood in his name, must not find the bucket that they emptied. Applied by XOR: a tag has ten bits, and
 * in those of all other buckets bit 8 is set.
 */
export const DNS_TCP_TAG = 0x300

/** What tells apart the buckets of one address: a service slot and a family. */
export function bucketTag(service: number, family: Family): number {
  return (service << 1) | (family === 6 ? 0x101 : 0x100)
}

/** Added to the tag of the bucket that a source has while it is known good. */
export const KNOWN_TAG = 0x200

/** The low half of the network's key: the first 24 bits of an IPv4 address, bits 32 to 48 of an IPv6 one. */
export function networkBits(view: Pick<PacketView, 'family' | 'sourceLow'>): number {
  return view.sourceLow & (view.family === 4 ? ~0xff : ~0xffff)
}
