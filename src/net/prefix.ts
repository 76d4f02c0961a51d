import { isIPv4, isIPv6 } from 'node:net'

export type Family = 4 | 6

/** An address range: `bytes` in network order (4 or 16 of them) with all host bits zero, `length` in bits. */
export interface Prefix {
  readonly family: Family
  readonly bytes: Uint8Array
  readonly length: number
}

/** Bits in an address of `family`. */
export function addressBits(family: Family): number {
  return family === 4 ? 32 : 128
}

/** Bits of what counts as one source: an IPv4 address, or the IPv6 /64 that one host surely has. */
export const SOURCE_BITS = { 4: 32, 6: 64 } as const

/**
 * Reads `192.0.2.1`, `192.0.2.0/24`, `2001:db8::1` or `2001:db8::/32`. Strict: no octal, hex or short
 * forms, no zone, no set host bits. `::ffff:192.0.2.1` means the IPv4 address.
 *
 * @throws SyntaxError if `text` is no address, RangeError if the length is impossible or host bits are set.
 */
export function parsePrefix(text: string): Prefix {
  const slash = text.indexOf('/')
  const address = slash < 0 ? text : text.slice(0, slash)
  const parsed = parseAddress(address)
  const mapped = parsed.length === 16 && isMapped(parsed)
  const bytes = mapped ? parsed.slice(12) : parsed
  const family = bytes.length === 4 ? 4 : 6
  const bits = addressBits(family)
  if (slash < 0) return { family, bytes, length: bits }

  const digits = text.slice(slash + 1)
  if (!/^(0|[1-9]\d{0,2})$/.test(digits)) {
    throw new SyntaxError(
      `"${text}" has no valid prefix length: write a number from 0 to ${bits} after the "/"`,
    )
  }
  const length = Number(digits) - (mapped ? 96 : 0)
  if (length < 0 || length > bits) {
    throw new RangeError(`"${text}" has an impossible prefix length: 0 to ${bits} are allowed`)
  }
  const masked = maskBytes(bytes, length)
  if (masked.some((byte, i) => byte !== bytes[i])) {
    const network = formatPrefix({ family, bytes: masked, length })
    throw new RangeError(`"${text}" has bits set behind the prefix: did you mean ${network}?`)
  }
  return { family, bytes, length }
}

/** The textual form of RFC 5952; a whole address has no `/length`. */
export function formatPrefix(prefix: Prefix): string {
  const [a, b, c, d] = prefix.bytes
  const address = prefix.family === 4 ? `${a}.${b}.${c}.${d}` : formatIPv6(prefix.bytes)
  return prefix.length === addressBits(prefix.family) ? address : `${address}/${prefix.length}`
}

/** Whether every address of `inner` lies in `outer`. */
export function covers(outer: Prefix, inner: Prefix): boolean {
  if (outer.family !== inner.family || outer.length > inner.length) return false
  const masked = maskBytes(inner.bytes, outer.length)
  return outer.bytes.every((byte, i) => byte === masked[i])
}

/** Whether the two ranges share an address: one of them then covers the other. */
export function overlaps(a: Prefix, b: Prefix): boolean {
  return covers(a, b) || covers(b, a)
}

/** `prefix` widened to `length` bits; unchanged where it is that wide already. */
export function widen(prefix: Prefix, length: number): Prefix {
  if (prefix.length <= length) return prefix
  return { family: prefix.family, bytes: maskBytes(prefix.bytes, length), length }
}

function parseAddress(text: string): Uint8Array {
  if (isIPv4(text)) {
    return parseIPv4(text)
  }
  // Node accepts a zone ("fe80::1%eth0"); a zone means nothing in a policy or an ipset.
  if (isIPv6(text) && !text.includes('%')) return parseIPv6(text)
  throw new SyntaxError(
    `"${text}" is no IPv4 or IPv6 address or prefix, such as 192.0.2.0/24 or 2001:db8::/32`,
  )
}

/** Digit by digit: a start reads 130,000 of them from the store. */
function parseIPv4(text: string): Uint8Array {
  const bytes = new Uint8Array(4)
  let at = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === DOT) at++
    else bytes[at] = bytes[at]! * 10 + code - ZERO
  }
  return bytes
}

const [DOT, ZERO] = [0x2e, 0x30]

function parseIPv6(text: string): Uint8Array {
  const [head = '', tail] = text.split('::')
  const front = groups(head)
  const back = tail === undefined ? [] : groups(tail)
  const zeros = new Array<number>(8 - front.length - back.length).fill(0)
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  for (const [i, group] of [...front, ...zeros, ...back].entries()) view.setUint16(i * 2, group)
  return bytes
}

function groups(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [a * 256 + b, c * 256 + d]
  })
}

function formatIPv6(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16)
  const parts = Array.from({ length: 8 }, (_, i) => view.getUint16(i * 2))
  // RFC 5952: "::" stands for the first of the longest runs of at least two zero groups.
  let best = { start: 0, length: 1 }
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (start + length < 8 && parts[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  const hex = parts.map((part) => part.toString(16))
  if (best.length === 1) return hex.join(':')
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
}

function maskBytes(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))))
}
