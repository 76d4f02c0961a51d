import type { DnsMessage } from './message.ts'

const OCTETS = 4
const NIBBLES = 32

// Labels with their length byte, small letters.
const ARPA = Uint8Array.from([4, 0x61, 0x72, 0x70, 0x61])
const IN_ADDR = Uint8Array.from([7, 0x69, 0x6e, 0x2d, 0x61, 0x64, 0x64, 0x72])
const IP6 = Uint8Array.from([3, 0x69, 0x70, 0x36])

/** Whether the name in `message` is below in-addr.arpa or ip6.arpa, and sets `family`. Case means nothing in names. */
export function isReverseName(message: DnsMessage, bytes: Uint8Array): boolean {
  const { labels, labelAt } = message
  if (labels < 2 || !isLabel(bytes, labelAt[labels - 1]!, ARPA)) return false
  const tree = labelAt[labels - 2]!
  if (isLabel(bytes, tree, IN_ADDR)) message.family = 4
  else if (isLabel(bytes, tree, IP6)) message.family = 6
  else return false
  return true
}

/**
 * Reads the address or prefix that a reverse name means, from its right: octets in decimal (RFC 1035, 3.5),
 * nibbles in hexadecimal (RFC 3596, 2.5), and the classless delegations of RFC 2317, such as
 * `5.0/25.2.0.192.in-addr.arpa` for 192.0.2.5.
 */
export function readReverseName(message: DnsMessage, bytes: Uint8Array): void {
  const { address } = message
  // One by one: `fill` is a call out of compiled code.
  address[0] = 0
  address[1] = 0
  address[2] = 0
  address[3] = 0
  message.hasMore = false
  if (message.family === 4) readOctets(message, bytes)
  else readNibbles(message, bytes)
}

function readOctets(message: DnsMessage, bytes: Uint8Array): void {
  const { labelAt, address } = message
  let left = message.labels - 2
  let octets = 0
  while (left > 0 && octets < OCTETS) {
    const value = octetAt(bytes, labelAt[left - 1]!)
    if (value < 0) break
    address[0]! |= value << (24 - 8 * octets)
    octets++
    left--
  }
  if (octets === 3 && left > 0) {
    const delegation = labelAt[left - 1]!
    const host = left === 2 ? octetAt(bytes, labelAt[0]!) : -1
    if (host >= 0) {
      // RFC 2317 leaves it to the administrator what the delegation is called.
      address[0]! |= host
      message.prefixLength = 32
      return
    }
    const length = delegationLength(bytes, delegation)
    if (left === 1 && length > 0) {
      address[0]! |= delegationStart(bytes, delegation)
      message.prefixLength = length
      return
    }
  }
  message.prefixLength = 8 * octets
  message.hasMore = left > 0
}

function readNibbles(message: DnsMessage, bytes: Uint8Array): void {
  const { labelAt, address } = message
  let left = message.labels - 2
  let nibbles = 0
  while (left > 0 && nibbles < NIBBLES) {
    const value = nibbleAt(bytes, labelAt[left - 1]!)
    if (value < 0) break
    address[nibbles >> 3]! |= value << (28 - 4 * (nibbles & 7))
    nibbles++
    left--
  }
  message.prefixLength = 4 * nibbles
  message.hasMore = left > 0
}

function isLabel(bytes: Uint8Array, at: number, label: Uint8Array): boolean {
  for (let i = 0; i < label.length; i++) {
    const wanted = label[i]!
    const found = bytes[at + i]!
    // Of letters, bit 5 is their case.
    if (found !== wanted && !(wanted >= 0x61 && found === wanted - 0x20)) return false
  }
  return true
}

/** The label at `at` as an octet, or -1. */
function octetAt(bytes: Uint8Array, at: number): number {
  return decimal(bytes, at + 1, at + 1 + bytes[at]!)
}

/** 0 to 255 without leading zeros in `bytes[from, to)`, or -1. */
function decimal(bytes: Uint8Array, from: number, to: number): number {
  if (to <= from || to - from > 3 || (bytes[from] === 0x30 && to - from > 1)) return -1
  let value = 0
  for (let at = from; at < to; at++) {
    const digit = bytes[at]! - 0x30
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value > 255 ? -1 : value
}

/** The label at `at` as one hexadecimal digit, or -1. */
function nibbleAt(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== 1) return -1
  const digit = bytes[at + 1]!
  if (digit >= 0x30 && digit <= 0x39) return digit - 0x30
  const letter = digit | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1
}

/** Where the `/` or `-` of a delegation such as `0/25` or `0-127` is, or 0. */
function separatorAt(bytes: Uint8Array, at: number): number {
  const to = at + 1 + Math.min(bytes[at]!, 4)
  for (let i = at + 2; i < to; i++) if (bytes[i] === 0x2f || bytes[i] === 0x2d) return i
  return 0
}

/** The last octet with which the range of a delegation begins, or -1. */
function delegationStart(bytes: Uint8Array, at: number): number {
  return decimal(bytes, at + 1, separatorAt(bytes, at))
}

/** The length of the prefix that a delegation is, or -1: `0/25` and `0-127` are a /25. */
function delegationLength(bytes: Uint8Array, at: number): number {
  const separator = separatorAt(bytes, at)
  if (separator === 0) return -1
  const first = delegationStart(bytes, at)
  const second = decimal(bytes, separator + 1, at + 1 + bytes[at]!)
  if (first < 0 || second < 0) return -1
  const length = bytes[separator] === 0x2f ? second : 32 - Math.log2(second - first + 1)
  const isPrefix =
    length >= 24 && length <= 32 && Number.isInteger(length) && first % 2 ** (32 - length) === 0
  return isPrefix ? length : -1
}
