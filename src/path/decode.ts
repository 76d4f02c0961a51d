import { Reason } from './reasons.ts'

// Constants of this module cost compiled code nothing; an import is looked up each time.
const WITHIN_LIMIT = Reason.withinLimit
const MALFORMED = Reason.malformed
const LATER_FRAGMENT = Reason.laterFragment
const SHORT_FRAGMENT = Reason.shortFragment

const TCP = 6
const UDP = 17

/** Honest hosts send two or three extension headers; the walk must end whatever is sent (RFC 8504, 5.3). */
const MAX_EXTENSION_HEADERS = 8

/** No buffer is larger. That an offset is no more spares the compiled code its overflow checks. */
const OFFSET_MASK = 2 ** 30 - 1

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
  /** Where the TCP header begins in `bytes`, and where what is there of the packet ends. */
  tcpStart = 0
  tcpEnd = 0
  /** Where the payload of a UDP packet begins in `bytes`, and where what is there of it ends. */
  payloadStart = 0
  payloadEnd = 0
  /** The payload goes on beyond what was captured, or in later fragments. */
  isPayloadCut = false
  #bytes: Uint8Array | undefined
  #data: DataView = new DataView(new ArrayBuffer(0))

  /** `bytes`, to be read in numbers of several bytes. Packets come one after the other out of the same slab. */
  dataOf(bytes: Uint8Array): DataView {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes
      this.#data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
    return this.#data
  }
}

/**
 * Reads the packet at `bytes[offset, offset + length)`, which begins with its IP header, into `view`. The
 * length fields inside are believed only as far as they make the packet shorter.
 *
 * @returns `Reason.withinLimit` when `view` is complete, else why the packet cannot be judged:
 *   `noService` (no TCP or UDP), `laterFragment`, `shortFragment`, `tooManyHeaders` or `malformed`.
 */
export function decode(view: PacketView, bytes: Uint8Array, offset: number, length: number): Reason {
  if (length < 20) return MALFORMED
  const data = view.dataOf(bytes)
  const at = offset & OFFSET_MASK
  const first = data.getInt32(at)
  const version = first >>> 28
  if (version === 4) return decodeIPv4(view, data, at, length, first)
  if (version === 6) return decodeIPv6(view, data, at, length)
  return MALFORMED
}

/** @param first the first four bytes: version, length of the header, type of service, length of it all */
function decodeIPv4(view: PacketView, data: DataView, at: number, length: number, first: number): Reason {
  const headerLength = (first >>> 22) & 0x3c
  const totalLength = first & 0xffff
  if (headerLength < 20 || headerLength > length || totalLength < headerLength) return MALFORMED

  view.family = 4
  view.protocol = data.getUint8(at + 9)
  view.sourceHigh = 0
  view.sourceLow = data.getInt32(at + 12)

  const fragment = data.getUint16(at + 6)
  if ((fragment & 0x1fff) !== 0) return LATER_FRAGMENT
  return decodePorts(view, data, at + headerLength, at + length, at + totalLength, (fragment & 0x2000) !== 0)
}

function decodeIPv6(view: PacketView, data: DataView, start: number, length: number): Reason {
  if (length < 40) return MALFORMED
  view.family = 6
  view.sourceHigh = data.getInt32(start + 8)
  view.sourceLow = data.getInt32(start + 12)

  // A payload length of 0 announces a jumbogram (RFC 2675): then only what was captured is known.
  const payloadLength = data.getUint16(start + 4)
  const packetEnd = start + (payloadLength === 0 ? length : 40 + payloadLength)
  const end = least(start + length, packetEnd)
  let next = data.getUint8(start + 6)
  let at = start + 40
  let isFragment = false
  for (let headers = 0; headers <= MAX_EXTENSION_HEADERS; headers++) {
    switch (next) {
      case 44: // Fragment (RFC 8200, 4.5)
        if (at + 8 > end) return MALFORMED
        if ((data.getUint16(at + 2) & 0xfff8) !== 0) return LATER_FRAGMENT
        isFragment = (data.getUint8(at + 3) & 1) !== 0
        next = data.getUint8(at)
        at += 8
        break
      case 51: // Authentication: counts in 4 bytes (RFC 4302, 2.2)
        if (at + 2 > end) return isFragment ? SHORT_FRAGMENT : MALFORMED
        next = data.getUint8(at)
        at += (data.getUint8(at + 1) + 2) << 2
        break
      case 0: // Hop-by-hop options, routing, destination options, mobility, HIP, Shim6
      case 43:
      case 60:
      case 135:
      case 139:
      case 140:
        if (at + 2 > end) return isFragment ? SHORT_FRAGMENT : MALFORMED
        next = data.getUint8(at)
        at += (data.getUint8(at + 1) + 1) << 3
        break
      default:
        view.protocol = next
        return decodePorts(view, data, at, start + length, packetEnd, isFragment)
    }
  }
  return Reason.tooManyHeaders
}

/** @param capturedEnd, packetEnd where the captured bytes end, and where the packet does by its IP header */
function decodePorts(
  view: PacketView,
  data: DataView,
  start: number,
  capturedEnd: number,
  packetEnd: number,
  isFragment: boolean,
): Reason {
  const { protocol } = view
  if (protocol !== TCP && protocol !== UDP) return Reason.noService
  const at = start & OFFSET_MASK
  const end = least(capturedEnd, packetEnd)
  if (at + (protocol === TCP ? TCP_BYTES : UDP_BYTES) > end) {
    return isFragment ? SHORT_FRAGMENT : MALFORMED
  }
  const ports = data.getInt32(at)
  view.sourcePort = ports >>> 16
  view.destinationPort = ports & 0xffff
  if (protocol === TCP) {
    view.tcpSequence = data.getInt32(at + 4)
    view.tcpFlags = data.getUint8(at + 13)
    view.tcpStart = at
    view.tcpEnd = end
  } else {
    const datagramEnd = at + data.getUint16(at + 4)
    view.payloadStart = at + UDP_BYTES
    view.payloadEnd = least(end, datagramEnd)
    view.isPayloadCut = view.payloadEnd < (isFragment ? datagramEnd : least(datagramEnd, packetEnd))
  }
  return WITHIN_LIMIT
}

/** `Math.min` would compare as doubles. */
function least(a: number, b: number): number {
  return a < b ? a : b
}
