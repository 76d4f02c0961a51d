import type { DnsMessage } from './message.ts'

const OCTETS = 4
const NIBBLES = 32

/** Whether the name in `message` is below in-addr.arpa or ip6.arpa, and sets `family`. Case means nothing in names. */
export function isReverseName(message: DnsMessage, bytes: Uint8Array): boolean {
  const { labels, labelAt } = message
  if (labels < 2 || !isArpa(bytes, labelAt[labels - 1]!)) return false
  const tree = labelAt[labels - 2]!
  if (isInAddr(bytes, tree)) message.family = 4
  else if (isIp6(bytes, tree)) message.family = 6
  else return false
  return true
}

/**
 * Reads the address or prefix that a reverse name means, from its right: octets in decimal (RFC 1035, 3.5),
 * nibbles in hexadecimal (RFC 3596, 2.5), and the classless delegations of RFC 2317, such as
 * `5.0/25.2.0.192.in-addr.arpa` for 192.0.2.5.
 */
export function readReverseName(message: DnsMessage, bytes: Uint8Array): void {
  message.hasMore = false
  if (message.family === 4) readOctets(message, bytes)
  else readNibbles(message, bytes)
}

function readOctets(message: DnsMessage, bytes: Uint8Array): void {
  const { labelAt, address } = message
  let left = message.labels - 2
  let octets = 0
  let spelt = 0
  while (left > 0 && octets < OCTETS) {
    const value = octetAt(bytes, labelAt[left - 1]!)
    if (value < 0) break
    spelt |= value << (24 - 8 * octets)
    octets++
    left--
  }
  address[0] = spelt
  // One by one: `fill` is a call out of compiled code.
  address[1] = 0
  address[2] = 0
  address[3] = 0
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
  address[0] = 0
  address[1] = 0
  address[2] = 0
  address[3] = 0
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

// Labels with their length byte, written out: of letters, bit 5 is their case. One branch instead of one for each byte.

function isArpa(bytes: Uint8Array, at: number): boolean {
  return (
    ((bytes[at]! ^ 4) |
      ((bytes[at + 1]! | 0x20) ^ 0x61) |
      ((bytes[at + 2]! | 0x20) ^ 0x72) |
      ((bytes[at + 3]! | 0x20) ^ 0x70) |
      ((bytes[at + 4]! | 0x20) ^ 0x61)) ===
    0
  )
}

function isInAddr(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== 7) return false
  return (
    (((bytes[at + 1]! | 0x20) ^ 0x69) |
      ((bytes[at + 2]! | 0x20) ^ 0x6e) |
      (bytes[at + 3]! ^ 0x2d) |
      ((bytes[at + 4]! | 0x20) ^ 0x61) |
      ((bytes[at + 5]! | 0x20) ^ 0x64) |
      ((bytes[at + 6]! | 0x20) ^ 0x64) |
      ((bytes[at + 7]! | 0x20) ^ 0x72)) ===
    0
  )
}

function isIp6(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== 3) return false
  return (((bytes[at + 1]! | 0x20) ^ 0x69) | ((bytes[at + 2]! | 0x20) ^ 0x70) | (bytes[at + 3]! ^ 0x36)) === 0
}

/**
 * The label at `at` as an octet, or -1: what `decimal` finds, without a branch, since how many digits come next nobody can
 * predict. Behind the label is at least the tree, so there are always three bytes to read.
 */
function octetAt(bytes: Uint8Array, at: number): number {
  const length = bytes[at]!
  const first = bytes[at + 1]! - 0x30
  const second = bytes[at + 2]! - 0x30
  const third = bytes[at + 3]! - 0x30
  // All bits set where there are so many digits.
  const two = (1 - length) >> 31
  const three = (2 - length) >> 31
  let value = first + (two & (9 * first + second))
  value += three & (9 * value + third)
  // Below 0 where a digit is none, the first of several is 0, there are none or more than three, or it is above 255.
  const isWrong =
    (length - 1) |
    (3 - length) |
    (255 - value) |
    first |
    (9 - first) |
    (two & ((first - 1) | second | (9 - second))) |
    (three & (third | (9 - third)))
  return value | (isWrong >> 31)
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
