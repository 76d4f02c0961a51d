import { BlockList, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addressBits,
  covers,
  formatPrefix,
  overlaps,
  type Prefix,
  parsePrefix,
  widen,
} from '../../src/net/prefix.ts'

/** Addresses as WHATWG's URL writes them: an independent reader and writer of both families. */
const canonical = (address: string): string =>
  isIPv6(address)
    ? new URL(`http://[${address}]`).hostname.slice(1, -1)
    : new URL(`http://${address}`).hostname

const ipv4 = fc.ipV4()
// URL keeps ::ffff:1.2.3.4 as IPv6, where we mean the IPv4 address; that has a test of its own.
const ipv6 = fc.ipV6().filter((address) => !canonical(address).startsWith('::ffff:'))
const address = fc.oneof(ipv4, ipv6)

/** A prefix of either family, host bits zero. */
const prefix: fc.Arbitrary<Prefix> = address.chain((text) => {
  const whole = parsePrefix(text)
  return fc.nat(addressBits(whole.family)).map((length) => widen(whole, length))
})

const lastAddress = ({ family, bytes, length }: Prefix): Prefix => ({
  family,
  bytes: bytes.map((byte, i) => byte | (0xff >> Math.min(8, Math.max(0, length - i * 8)))),
  length: addressBits(family),
})

const firstAddress = ({ family, bytes }: Prefix): Prefix => ({ family, bytes, length: addressBits(family) })

describe('an address', () => {
  test('is written as a URL writes it', () => {
    fc.assert(
      fc.property(address, (text) => {
        expect(formatPrefix(parsePrefix(text))).toBe(canonical(text))
      }),
      { numRuns: 500 },
    )
  })

  test.each<[string, string]>([
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1/32', '192.0.2.1'],
    ['192.0.2.0/24', '192.0.2.0/24'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['::', '::'],
    ['::/0', '::/0'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8::/32', '2001:db8::/32'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['1:0:0:2:2:0:0:1', '1::2:2:0:0:1'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['::ffff:192.0.2.0/120', '192.0.2.0/24'],
  ])('%s is %s', (text, expected) => {
    expect(formatPrefix(parsePrefix(text))).toBe(expected)
  })
})

describe('what is refused', () => {
  test.each<[string, string]>([
    ['', '"" is no IPv4 or IPv6 address'],
    [' 192.0.2.1', 'is no IPv4'],
    ['192.0.2', 'is no IPv4'],
    ['192.0.2.01', 'is no IPv4'],
    ['0xc0000201', 'is no IPv4'],
    ['3221225985', 'is no IPv4'],
    ['192.0.2.256', 'is no IPv4'],
    ['fe80::1%eth0', 'is no IPv4'],
    ['2001:db8::1::', 'is no IPv4'],
    ['2001:db8', 'is no IPv4'],
    ['[::1]', 'is no IPv4'],
    ['localhost', 'is no IPv4'],
    ['192.0.2.0/', 'has no valid prefix length: write a number from 0 to 32'],
    ['192.0.2.0/024', 'has no valid prefix length'],
    ['192.0.2.0/24/24', 'has no valid prefix length'],
    ['192.0.2.0/-1', 'has no valid prefix length'],
    ['192.0.2.0/255.255.255.0', 'has no valid prefix length'],
    ['192.0.2.0/33', 'has an impossible prefix length: 0 to 32 are allowed'],
    ['2001:db8::/129', 'has an impossible prefix length: 0 to 128 are allowed'],
    ['::ffff:192.0.2.0/24', 'has an impossible prefix length'],
    ['192.0.2.1/24', 'has bits set behind the prefix: did you mean 192.0.2.0/24?'],
    ['2001:db8::1/64', 'has bits set behind the prefix: did you mean 2001:db8::/64?'],
    ['128.0.0.0/0', 'has bits set behind the prefix: did you mean 0.0.0.0/0?'],
  ])('%s', (text, message) => {
    expect(() => parsePrefix(text)).toThrow(message)
  })

  test('any text is read or refused, never anything else', () => {
    const soup = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'0123456789abcdef:./% -x') }))
    fc.assert(
      fc.property(soup, (text) => {
        try {
          const read = parsePrefix(text)
          expect(read.bytes).toHaveLength(addressBits(read.family) / 8)
        } catch (error) {
          if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('prefixes', () => {
  test('come back from their text unchanged', () => {
    fc.assert(
      fc.property(prefix, (each) => {
        expect(parsePrefix(formatPrefix(each))).toEqual(each)
      }),
      { numRuns: 500 },
    )
  })

  test('cover the addresses that a BlockList says they do', () => {
    fc.assert(
      fc.property(prefix, address, fc.boolean(), (outer, other, isInside) => {
        const inner = isInside ? lastAddress(outer) : parsePrefix(other)
        const name = (family: number) => (family === 4 ? 'ipv4' : 'ipv6')
        const list = new BlockList()
        list.addSubnet(formatPrefix(firstAddress(outer)), outer.length, name(outer.family))
        const expected = outer.family === inner.family && list.check(formatPrefix(inner), name(inner.family))
        expect(covers(outer, inner)).toBe(expected)
      }),
      { numRuns: 500 },
    )
  })

  test('overlap in both directions or not at all', () => {
    fc.assert(
      fc.property(prefix, prefix, (a, b) => {
        expect(overlaps(a, b)).toBe(overlaps(b, a))
        expect(overlaps(a, a)).toBe(true)
        expect(overlaps(a, lastAddress(a))).toBe(true)
      }),
    )
  })

  test('that are widened cover what they were', () => {
    fc.assert(
      fc.property(prefix, fc.nat(128), (each, length) => {
        const wide = widen(each, length)
        expect(covers(wide, each)).toBe(true)
        expect(wide.length).toBe(Math.min(length, each.length))
        expect(parsePrefix(formatPrefix(wide))).toEqual(wide)
      }),
    )
  })

  test('of one family never cover those of the other', () => {
    expect(covers(parsePrefix('0.0.0.0/0'), parsePrefix('::1'))).toBe(false)
    expect(covers(parsePrefix('::/0'), parsePrefix('127.0.0.1'))).toBe(false)
  })
})
