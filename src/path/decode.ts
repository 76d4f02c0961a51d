import { Reason } from './reasons.ts'

const TCP = 6
const UDP = 17

/** Honest hosts send two or three extension headers; the walk must end whatever is sent (RFC 8504, 5.3). */
const MAX_EXTENSION_HEADERS = 8

/** Bytes of a TCP header up to and including the flags; of a UDP header, all. */
const TCP_BYTES = 14
const UDP_BYTES = 8

/**
 * One packet's headers, filled by `decode` and reused for the next. A source is an IPv4 address
 * (`sourceHigh` 0, `sourceLow` the address) or an IPv6 /64 (its two halves): a host of the IPv6 internet
 * owns at least a /64 and changes its address at will. Numbers of 32 bits are signed: V8 keeps those in a
 * field without a box.
 */
export class PacketView {
  family: 4 | 6 = 4
  protocol = 0
  sourceHigh = 0
  sourceLow = 0
  sourcePort = 0
  destinationPort = 0
  tcpFlags = 0
  tcpSequence = 0
  /** Where the payload of a UDP packet begins in `bytes`, and where what is there of it ends. */
  payloadStart = 0
  payloadEnd = 0
  /** The payload goes on beyond what was captured, or in later fragments. */
  isPayloadCut = false
}

/**
 * Reads the packet at `bytes[offset, offset + length)`, which begins with its IP header, into `view`. The
 * length fields inside are believed only as far as they make the packet shorter.
 *
 * @returns `Reason.withinLimit` when `view` is complete, else why the packet cannot be judged:
 *   `noService` (no TCP or UDP), `laterFragment`, `shortFragment`, `tooManyHeaders` or `malformed`.
 */
export function decode(view: PacketView, bytes: Uint8Array, offset: number, length: number): Reason {
  if (length < 20) return Reason.malformed
  const version = bytes[offset]! >> 4
  if (version === 4) return decodeIPv4(view, bytes, offset, length)
  if (version === 6) return decodeIPv6(view, bytes, offset, length)
  return Reason.malformed
}

function decodeIPv4(view: PacketView, bytes: Uint8Array, offset: number, length: number): Reason {
  const headerLength = (bytes[offset]! & 15) << 2
  const totalLength = uint16(bytes, offset + 2)
  if (headerLength < 20 || headerLength > length || totalLength < headerLength) return Reason.malformed

  view.family = 4
  view.protocol = bytes[offset + 9]!
  view.sourceHigh = 0
  view.sourceLow = uint32(bytes, offset + 12)

  const fragment = uint16(bytes, offset + 6)
  if ((fragment & 0x1fff) !== 0) return Reason.laterFragment
  const at = offset + headerLength
  return decodePorts(view, bytes, at, offset + length, offset + totalLength, (fragment & 0x2000) !== 0)
}

function decodeIPv6(view: PacketView, bytes: Uint8Array, offset: number, length: number): Reason {
  if (length < 40) return Reason.malformed
  view.family = 6
  view.sourceHigh = uint32(bytes, offset + 8)
  view.sourceLow = uint32(bytes, offset + 12)

  // A payload length of 0 announces a jumbogram (RFC 2675): then only what was captured is known.
  const payloadLength = uint16(bytes, offset + 4)
  const packetEnd = offset + (payloadLength === 0 ? length : 40 + payloadLength)
  const end = Math.min(offset + length, packetEnd)
  let next = bytes[offset + 6]!
  let at = offset + 40
  let isFragment = false
  for (let headers = 0; headers <= MAX_EXTENSION_HEADERS; headers++) {
    switch (next) {
      case 44: // Fragment (RFC 8200, 4.5)
        if (at + 8 > end) return Reason.malformed
        if ((uint16(bytes, at + 2) & 0xfff8) !== 0) return Reason.laterFragment
        isFragment = (bytes[at + 3]! & 1) !== 0
        next = bytes[at]!
        at += 8
        break
      case 51: // Authentication: counts in 4 bytes (RFC 4302, 2.2)
        if (at + 2 > end) return isFragment ? Reason.shortFragment : Reason.malformed
        next = bytes[at]!
        at += (bytes[at + 1]! + 2) << 2
        break
      case 0: // Hop-by-hop options, routing, destination options, mobility, HIP, Shim6
      case 43:
      case 60:
      case 135:
      case 139:
      case 140:
        if (at + 2 > end) return isFragment ? Reason.shortFragment : Reason.malformed
        next = bytes[at]!
        at += (bytes[at + 1]! + 1) << 3
        break
      default:
        view.protocol = next
        return decodePorts(view, bytes, at, offset + length, packetEnd, isFragment)
    }
  }
  return Reason.tooManyHeaders
}

/** @param capturedEnd, packetEnd where the captured bytes end, and where the packet does by its IP header */
function decodePorts(
  view: PacketView,
  bytes: Uint8Array,
  at: number,
  capturedEnd: number,
  packetEnd: number,
  isFragment: boolean,
): Reason {
  const end = Math.min(capturedEnd, packetEnd)
  if (view.protocol !== TCP && view.protocol !== UDP) return Reason.noService
  if (at + (view.protocol === TCP ? TCP_BYTES : UDP_BYTES) > end) {
    return isFragment ? Reason.shortFragment : Reason.malformed
  }
  view.sourcePort = uint16(bytes, at)
  view.destinationPort = uint16(bytes, at + 2)
  if (view.protocol === TCP) {
    view.tcpSequence = uint32(bytes, at + 4)
    view.tcpFlags = bytes[at + 13]!
  } else {
    const datagramEnd = at + uint16(bytes, at + 4)
    view.payloadStart = at + UDP_BYTES
    view.payloadEnd = Math.min(end, datagramEnd)
    view.isPayloadCut = view.payloadEnd < (isFragment ? datagramEnd : Math.min(datagramEnd, packetEnd))
  }
  return Reason.withinLimit
}

function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

function uint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}
