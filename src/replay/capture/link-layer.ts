/** What `findIp` answers when a frame holds no IP packet, or none that it can find. */
export const NO_IP = {
  arp: -1,
  /** Another protocol than IP or ARP, known or not. */
  otherProtocol: -2,
  /** The frame, or what was captured of it, ends before the IP header begins. */
  tooShort: -3,
  /** A link layer that is not read. */
  unknownLink: -4,
} as const

/** Numbers of https://www.tcpdump.org/linktypes.html; those not here are in `linkTypeName`. */
const NULL = 0
const ETHERNET = 1
const PPP = 9
const RAW_BSD = 12
const RAW_OPENBSD = 14
const PPP_SERIAL = 50
const PPP_ETHER = 51
const RAW = 101
const LOOP = 108
const LINUX_COOKED = 113
const IPV4 = 228
const IPV6 = 229
const LINUX_COOKED_2 = 276

/** Address families of BSD loopback headers: AF_INET, and AF_INET6 of Linux, NetBSD, FreeBSD and macOS. */
const IP_FAMILIES: readonly number[] = [2, 10, 24, 28, 30]

/**
 * Finds the IP header in the frame `bytes[start, end)`.
 *
 * @returns its offset in `bytes`, at most `end`, or one of `NO_IP`.
 */
export function findIp(linkType: number, bytes: Uint8Array, start: number, end: number): number {
  switch (linkType) {
    case ETHERNET:
      return findIpInEthernet(bytes, start, end)
    case LINUX_COOKED:
      return behindEtherType(bytes, start + 14, start + 16, end)
    case LINUX_COOKED_2:
      return behindEtherType(bytes, start, start + 20, end)
    case RAW:
    case RAW_BSD:
    case RAW_OPENBSD:
    case IPV4:
    case IPV6:
      return start < end ? start : NO_IP.tooShort
    case NULL:
    case LOOP:
      return behindFamily(bytes, start, end)
    case PPP:
    case PPP_SERIAL:
      return behindPppFraming(bytes, start, end)
    case PPP_ETHER:
      return behindPppProtocol(bytes, start + 6, end)
    default:
      return NO_IP.unknownLink
  }
}

function findIpInEthernet(bytes: Uint8Array, start: number, end: number): number {
  if (start + 14 > end) return NO_IP.tooShort
  const type = uint16(bytes, start + 12)
  if (type === 0x0800 || type === 0x86dd) return start + 14
  if (type >= 0x0600) return behindEtherType(bytes, start + 12, start + 14, end)
  // An IEEE 802.3 length. IP follows only behind LLC and SNAP with the EtherTypes' own code (RFC 1042).
  if (start + 22 > end) return NO_IP.tooShort
  const isSnap = uint16(bytes, start + 14) === 0xaaaa && uint16(bytes, start + 16) === 0x0300
  if (!isSnap || uint16(bytes, start + 18) !== 0) return NO_IP.otherProtocol
  return behindEtherType(bytes, start + 20, start + 22, end)
}

/** The EtherType at `typeAt` tells what is at `at`; between them may lie what else the link header holds. */
function behindEtherType(bytes: Uint8Array, typeAt: number, at: number, end: number): number {
  if (at > end) return NO_IP.tooShort
  let type = uint16(bytes, typeAt)
  let payload = at
  while (isVlanTag(type)) {
    if (payload + 4 > end) return NO_IP.tooShort
    type = uint16(bytes, payload + 2)
    payload += 4
  }
  switch (type) {
    case 0x0800:
    case 0x86dd:
      return payload
    case 0x0806:
      return NO_IP.arp
    case 0x8864: // PPPoE session (RFC 2516): version, code, session and length come first
      return behindPppProtocol(bytes, payload + 6, end)
    default:
      return NO_IP.otherProtocol
  }
}

/** 802.1Q, 802.1ad, and what was in use before the latter. */
function isVlanTag(etherType: number): boolean {
  return etherType === 0x8100 || etherType === 0x88a8 || etherType === 0x9100 || etherType === 0x9200
}

/** The header is the family in the byte order of the machine that captured, which may not be the file's. */
function behindFamily(bytes: Uint8Array, start: number, end: number): number {
  if (start + 4 > end) return NO_IP.tooShort
  const big = uint16(bytes, start) === 0 ? uint16(bytes, start + 2) : 0
  const little = uint16(bytes, start + 2) === 0 ? bytes[start]! | (bytes[start + 1]! << 8) : 0
  return IP_FAMILIES.includes(big) || IP_FAMILIES.includes(little) ? start + 4 : NO_IP.otherProtocol
}

/** HDLC-like framing (RFC 1662, 3.1) may be left out. */
function behindPppFraming(bytes: Uint8Array, start: number, end: number): number {
  if (start + 2 > end) return NO_IP.tooShort
  return behindPppProtocol(bytes, uint16(bytes, start) === 0xff03 ? start + 2 : start, end)
}

/** A protocol number is one byte when that is odd, else two (RFC 1661, 6.5). */
function behindPppProtocol(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return NO_IP.tooShort
  const isCompressed = (bytes[at]! & 1) === 1
  if (!isCompressed && at + 2 > end) return NO_IP.tooShort
  const protocol = isCompressed ? bytes[at]! : uint16(bytes, at)
  if (protocol !== 0x21 && protocol !== 0x57) return NO_IP.otherProtocol
  return isCompressed ? at + 1 : at + 2
}

/** Which way a packet went, as the machine that captured it saw it. */
export const Direction = { unknown: 0, inbound: 1, outbound: 2 } as const
export type Direction = (typeof Direction)[keyof typeof Direction]

/** Linux cooked headers tell (packet(7): PACKET_OUTGOING is 4), others do not. The frame must hold IP. */
export function directionOf(linkType: number, bytes: Uint8Array, start: number): Direction {
  if (linkType !== LINUX_COOKED && linkType !== LINUX_COOKED_2) return Direction.unknown
  const packetType = linkType === LINUX_COOKED ? uint16(bytes, start) : bytes[start + 10]
  return packetType === 4 ? Direction.outbound : Direction.inbound
}

function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}
