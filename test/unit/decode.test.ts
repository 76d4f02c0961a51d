import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isAttempt } from '../../src/path/classify.ts'
import { decode, PacketView } from '../../src/path/decode.ts'
import { REASONS, Reason } from '../../src/path/reasons.ts'
import { packet } from '../lib/packets.ts'

const SYN_IPV4 = packet({ from: '198.51.100.7', sourcePort: 1234, port: 22, sequence: 0x80000001 })
const SYN_IPV6 = packet({ from: '2001:db8:1:2:3:4:5:6', sourcePort: 1234, port: 22 })
const QUERY_IPV4 = packet({ from: '198.51.100.7', port: 53, protocol: 'udp', payload: new Uint8Array(12) })

function reasonOf(bytes: Uint8Array): string {
  return REASONS[decode(new PacketView(), bytes, 0, bytes.length)]!.name
}

/** `bytes` with some of them replaced. */
function patch(bytes: Uint8Array, changes: Record<number, number>): Uint8Array {
  const patched = Uint8Array.from(bytes)
  for (const [at, value] of Object.entries(changes)) patched[Number(at)] = value
  return patched
}

/** SYN_IPV6 with extension headers between its IP and TCP header; `first` is the number of the first. */
function withHeaders(first: number, ...headers: number[][]): Uint8Array {
  const inserted = headers.flat()
  const bytes = Uint8Array.from([...SYN_IPV6.subarray(0, 40), ...inserted, ...SYN_IPV6.subarray(40)])
  bytes[5] = 20 + inserted.length
  bytes[6] = first
  return bytes
}

/** A destination options header of 8 bytes before the header numbered `next`. */
const options = (next: number) => [next, 0, 1, 4, 0, 0, 0, 0]
/** A fragment header: offset in units of 8 bytes, and whether more follow. */
const fragment = (next: number, offset: number, more: boolean) => [
  next,
  0,
  offset >> 5,
  ((offset << 3) & 255) | (more ? 1 : 0),
  0,
  0,
  0,
  1,
]

describe('decode', () => {
  test('reads the source, ports, flags and sequence number of an IPv4 SYN', () => {
    const view = new PacketView()
    const padded = Uint8Array.from([9, 9, 9, ...SYN_IPV4])
    expect(decode(view, padded, 3, SYN_IPV4.length)).toBe(Reason.withinLimit)
    expect(view).toMatchObject({
      family: 4,
      protocol: 6,
      sourceHigh: 0,
      sourceLow: 0xc6336407 | 0,
      sourcePort: 1234,
      destinationPort: 22,
      tcpFlags: 2,
      tcpSequence: 0x80000001 | 0,
    })
  })

  test('takes the /64 of an IPv6 source', () => {
    const view = new PacketView()
    decode(view, SYN_IPV6, 0, SYN_IPV6.length)
    expect(view).toMatchObject({
      family: 6,
      sourceHigh: 0x20010db8,
      sourceLow: 0x00010002,
      destinationPort: 22,
    })
  })

  test('finds the UDP header behind IPv4 options', () => {
    const bytes = Uint8Array.from([...QUERY_IPV4.subarray(0, 20), 1, 1, 1, 0, ...QUERY_IPV4.subarray(20)])
    bytes[0] = 0x46
    bytes[3] = bytes.length
    const view = new PacketView()
    expect(decode(view, bytes, 0, bytes.length)).toBe(Reason.withinLimit)
    expect(view).toMatchObject({ protocol: 17, destinationPort: 53, payloadStart: 32 })
  })

  test.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(), 'malformed'],
    ['19 bytes', SYN_IPV4.subarray(0, 19), 'malformed'],
    ['IP version 5', patch(SYN_IPV4, { 0: 0x55 }), 'malformed'],
    ['an IPv4 header shorter than 20 bytes', patch(SYN_IPV4, { 0: 0x44 }), 'malformed'],
    ['an IPv4 header longer than the packet', patch(SYN_IPV4, { 0: 0x4f }), 'malformed'],
    ['a total length shorter than the header', patch(SYN_IPV4, { 3: 19 }), 'malformed'],
    ['a total length that cuts the TCP header', patch(SYN_IPV4, { 3: 33 }), 'malformed'],
    ['a total length beyond the packet', patch(SYN_IPV4, { 2: 255 }), 'within-limit'],
    ['a capture that cuts the UDP header', QUERY_IPV4.subarray(0, 27), 'malformed'],
    ['ICMP', patch(SYN_IPV4, { 9: 1 }), 'no-service'],
    ['a later IPv4 fragment', patch(SYN_IPV4, { 7: 1 }), 'later-fragment'],
    ['a first IPv4 fragment with ports', patch(SYN_IPV4, { 6: 0x20 }), 'within-limit'],
    ['a first IPv4 fragment of 8 bytes', patch(SYN_IPV4, { 3: 28, 6: 0x20 }), 'short-fragment'],
    ['an IPv6 header cut off', SYN_IPV6.subarray(0, 39), 'malformed'],
    ['an IPv6 payload length that cuts the TCP header', patch(SYN_IPV6, { 5: 13 }), 'malformed'],
    ['an IPv6 jumbogram', patch(SYN_IPV6, { 5: 0 }), 'within-limit'],
    ['IPv6 without a next header', patch(SYN_IPV6, { 6: 59 }), 'no-service'],
    ['one extension header', withHeaders(60, options(6)), 'within-limit'],
    ['eight extension headers', withHeaders(60, ...Array(7).fill(options(60)), options(6)), 'within-limit'],
    [
      'nine extension headers',
      withHeaders(60, ...Array(8).fill(options(60)), options(6)),
      'too-many-headers',
    ],
    ['an authentication header', withHeaders(51, [6, 4, ...Array(22).fill(0)]), 'within-limit'],
    [
      'an extension header that points behind the packet',
      withHeaders(60, [6, 255, ...Array(6).fill(0)]),
      'malformed',
    ],
    ['a later IPv6 fragment', withHeaders(44, fragment(6, 100, false)), 'later-fragment'],
    ['an atomic IPv6 fragment', withHeaders(44, fragment(6, 0, false)), 'within-limit'],
    [
      'a first IPv6 fragment without ports',
      withHeaders(44, fragment(60, 0, true)).subarray(0, 48),
      'short-fragment',
    ],
  ])('%s: %s', (_, bytes, reason) => {
    expect(reasonOf(bytes)).toBe(reason)
  })

  test('reads no byte outside the packet, whatever its bytes are', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom(0x45, 0x46, 0x4f, 0x60, undefined),
        (bytes, first) => {
          if (first !== undefined && bytes.length > 0) bytes[0] = first
          expect(guarded(bytes)).toBe(decode(new PacketView(), bytes, 0, bytes.length))
        },
      ),
      { numRuns: 5000 },
    )
  })
})

/** Decodes with a guard around the packet that reports each read outside it. */
function guarded(bytes: Uint8Array): number {
  const guard = new Proxy(bytes, {
    get(target, key) {
      const index = Number(key)
      if (Number.isInteger(index) && (index < 0 || index >= target.length))
        throw new RangeError(`read of byte ${index}`)
      return Reflect.get(target, key, target)
    },
  })
  return decode(new PacketView(), guard, 0, bytes.length)
}

describe('isAttempt', () => {
  test.each([
    ['SYN', 0x02, true],
    ['SYN that sets up ECN', 0xc2, true],
    ['SYN with FIN and URG', 0x23, true],
    ['SYN-ACK', 0x12, false],
    ['ACK', 0x10, false],
    ['RST', 0x04, false],
  ])('%s', (_, tcpFlags, expected) => {
    const bytes = packet({ from: '198.51.100.7', port: 22, tcpFlags })
    const view = new PacketView()
    decode(view, bytes, 0, bytes.length)
    expect(isAttempt(view)).toBe(expected)
  })
})
