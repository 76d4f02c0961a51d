import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DNS_KINDS, DnsMessage } from '../../src/path/dns/message.ts'
import { parseDns } from '../../src/path/dns/parse.ts'
import { OPT, ptrQuery, query, reverseOf } from '../lib/dns-query.ts'

const NOTHING = Buffer.from('')
const HEADER = query({ name: '' }).slice(0, 12)

/** A header of a query with one question, and these bytes behind it. */
const withQuestion = (...bytes: number[]) => Uint8Array.from([...HEADER, ...bytes])
const label = (length: number, byte = 0x61) => [length, ...Array<number>(length).fill(byte)]
const A_IN = [0, 1, 0, 1]

function kindOf(bytes: Uint8Array, isCut = false): string {
  return DNS_KINDS[parseDns(new DnsMessage(), bytes, 0, bytes.length, isCut)]!
}

/** The address or prefix that a PTR query for `name` means: `4 c0000205/32`, with `+` for labels in front of it. */
function meaning(name: string): string {
  const message = new DnsMessage()
  const bytes = ptrQuery(name)
  const kind = DNS_KINDS[parseDns(message, bytes, 0, bytes.length, false)]!
  if (kind !== 'reverse') return kind
  const words = message.family === 4 ? message.address.subarray(0, 1) : message.address
  const digits = [...words].map((word) => word.toString(16).padStart(8, '0')).join(' ')
  return `${message.family} ${digits}/${message.prefixLength}${message.hasMore ? '+' : ''}`
}

describe('what a datagram is', () => {
  test.each<[string, Uint8Array, string]>([
    ['a query', query({ name: 'www.example.org' }), 'forward'],
    ['for the root', query({ name: '', type: 2 }), 'forward'],
    ['with EDNS', query({ name: 'a.test', counts: [1, 0, 0, 1], rest: OPT }), 'forward'],
    ['with bytes behind the question', query({ name: 'a.test', rest: [1, 2, 3] }), 'forward'],
    ['in class CHAOS', query({ name: 'version.bind', type: 16, class: 3 }), 'forward'],
    ['for ANY', query({ name: 'a.test', type: 255 }), 'forward'],
    ['IXFR, with its SOA', query({ name: 'a.test', type: 251, counts: [1, 0, 1, 0] }), 'forward'],
    ['AXFR, which is for TCP', query({ name: 'a.test', type: 252 }), 'malformed'],
    ['for OPT', query({ name: 'a.test', type: 41 }), 'malformed'],
    ['for type 0', query({ name: 'a.test', type: 0 }), 'malformed'],
    ['with an authority record', query({ name: 'a.test', counts: [1, 0, 1, 0] }), 'malformed'],
    ['with an answer', query({ name: 'a.test', counts: [1, 1, 0, 0] }), 'malformed'],
    ['with two questions', query({ name: 'a.test', counts: [2, 0, 0, 0] }), 'malformed'],
    ['without a question', withQuestion().fill(0, 4), 'malformed'],
    [
      'that has only an OPT record: for a cookie',
      Uint8Array.from([0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, ...OPT]),
      'other',
    ],
    ['an answer', query({ name: 'a.test', flags: 0x8180 }), 'answer'],
    ['IQUERY', query({ name: 'a.test', flags: 1 << 11 }), 'malformed'],
    ['STATUS', query({ name: 'a.test', flags: 2 << 11 }), 'malformed'],
    ['NOTIFY', query({ name: 'a.test', type: 6, flags: 4 << 11 }), 'other'],
    ['UPDATE', query({ name: 'a.test', type: 6, flags: 5 << 11, counts: [1, 0, 1, 0] }), 'other'],
    ['DSO, which is for TCP', query({ name: '', flags: 6 << 11 }), 'malformed'],
    ['opcode 15', query({ name: 'a.test', flags: 15 << 11 }), 'malformed'],
    ['nothing', NOTHING, 'malformed'],
    ['half a header', HEADER.slice(0, 11), 'malformed'],
    ['a header only', HEADER, 'malformed'],
    ['a name that does not end', withQuestion(...label(3)), 'malformed'],
    ['a label that goes beyond the end', withQuestion(63, 1, 2), 'malformed'],
    ['a question without its class', withQuestion(...label(1), 0, 0, 1, 0), 'malformed'],
    ['a label of 63 bytes', withQuestion(...label(63), 0, ...A_IN), 'forward'],
    ['a label of 64 bytes', withQuestion(...label(64), 0, ...A_IN), 'malformed'],
    ['a compression pointer', withQuestion(0xc0, 12, ...A_IN), 'malformed'],
    ['a compression pointer behind a label', withQuestion(...label(1), 0xc0, 12, ...A_IN), 'malformed'],
    ['a label of type 0x40', withQuestion(0x41, ...label(1), 0, ...A_IN), 'malformed'],
    [
      'a name of 255 bytes',
      withQuestion(...label(63), ...label(63), ...label(63), ...label(61), 0, ...A_IN),
      'forward',
    ],
    [
      'a name of 256 bytes',
      withQuestion(...label(63), ...label(63), ...label(63), ...label(62), 0, ...A_IN),
      'malformed',
    ],
    [
      'a name of 127 labels',
      withQuestion(...Array.from({ length: 127 }, () => label(1)).flat(), 0, ...A_IN),
      'forward',
    ],
    [
      'a name of 128 labels',
      withQuestion(...Array.from({ length: 128 }, () => label(1)).flat(), 0, ...A_IN),
      'malformed',
    ],
  ])('%s', (_, bytes, expected) => {
    expect(kindOf(bytes)).toBe(expected)
  })

  test("what the queue has cut off is not the sender's fault", () => {
    const whole = query({ name: 'www.example.org' })
    for (let length = 0; length < whole.length; length++) {
      expect(kindOf(whole.slice(0, length), true), `${length} bytes`).toBe('cut-short')
    }
    expect(kindOf(withQuestion(0xc0), true)).toBe('malformed')
  })

  test('the question ends where the next record begins', () => {
    const message = new DnsMessage()
    const bytes = Uint8Array.from([9, 9, 9, ...query({ name: 'a.test', rest: OPT })])
    parseDns(message, bytes, 3, bytes.length, false)
    expect(message).toMatchObject({
      start: 3,
      questionEnd: bytes.length - OPT.length,
      type: 1,
      class: 1,
      labels: 2,
    })
  })
})

const WHOLE6 = 'f.e.d.c.b.a.9.8.7.6.5.4.3.2.1.0.0.0.0.0.0.0.0.1.8.b.d.0.1.0.0.2.ip6.arpa'

describe('what a reverse name means', () => {
  test.each([
    ['5.2.0.192.in-addr.arpa', '4 c0000205/32'],
    ['5.2.0.192.IN-ADDR.ARPA', '4 c0000205/32'],
    ['255.255.255.255.in-addr.arpa', '4 ffffffff/32'],
    ['2.0.192.in-addr.arpa', '4 c0000200/24'],
    ['192.in-addr.arpa', '4 c0000000/8'],
    ['in-addr.arpa', '4 00000000/0'],
    // RFC 2317, and what people make of it.
    ['5.0/25.2.0.192.in-addr.arpa', '4 c0000205/32'],
    ['133.128-255.2.0.192.in-addr.arpa', '4 c0000285/32'],
    ['5.customer.2.0.192.in-addr.arpa', '4 c0000205/32'],
    ['0/25.2.0.192.in-addr.arpa', '4 c0000200/25'],
    ['128/26.2.0.192.in-addr.arpa', '4 c0000280/26'],
    ['64-127.2.0.192.in-addr.arpa', '4 c0000240/26'],
    ['customer.2.0.192.in-addr.arpa', '4 c0000200/24+'],
    ['64/25.2.0.192.in-addr.arpa', '4 c0000200/24+'],
    ['0/33.2.0.192.in-addr.arpa', '4 c0000200/24+'],
    ['0-99.2.0.192.in-addr.arpa', '4 c0000200/24+'],
    // No octets.
    ['256.2.0.192.in-addr.arpa', '4 c0000200/24+'],
    ['05.2.0.192.in-addr.arpa', '4 c0000200/24+'],
    ['1.5.2.0.192.in-addr.arpa', '4 c0000205/32+'],
    ['lb._dns-sd._udp.0.2.0.192.in-addr.arpa', '4 c0000200/32+'],
    [WHOLE6, '6 20010db8 10000000 01234567 89abcdef/128'],
    [WHOLE6.toUpperCase(), '6 20010db8 10000000 01234567 89abcdef/128'],
    ['8.b.d.0.1.0.0.2.ip6.arpa', '6 20010db8 00000000 00000000 00000000/32'],
    ['ip6.arpa', '6 00000000 00000000 00000000 00000000/0'],
    ['g.8.b.d.0.1.0.0.2.ip6.arpa', '6 20010db8 00000000 00000000 00000000/32+'],
    ['00.8.b.d.0.1.0.0.2.ip6.arpa', '6 20010db8 00000000 00000000 00000000/32+'],
    [`a.${WHOLE6}`, '6 20010db8 10000000 01234567 89abcdef/128+'],
    // Other trees, and labels that only look like these.
    ['5.2.0.192.in-addr.arpa.example.org', 'forward'],
    ['5.2.0.192.xin-addr.arpa', 'forward'],
    ['5.2.0.192.in\raddr.arpa', 'forward'],
    ['1.ip\x16.arpa', 'forward'],
    ['1.e164.arpa', 'forward'],
    ['arpa', 'forward'],
    ['', 'forward'],
  ])('%j: %s', (name, expected) => {
    expect(meaning(name)).toBe(expected)
  })

  test('every IPv4 address is read back', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), (address) => {
        expect(meaning(reverseOf(address))).toBe(`4 ${address.toString(16).padStart(8, '0')}/32`)
      }),
    )
  })

  test.each([
    ['A', 1],
    ['NS', 2],
    ['TXT', 16],
  ])('queries for %s in the trees are not reverse ones', (_, type) => {
    expect(kindOf(query({ name: '5.2.0.192.in-addr.arpa', type }))).toBe('forward')
  })

  test('ANY asks for the names too, but not in class CHAOS', () => {
    expect(kindOf(query({ name: '5.2.0.192.in-addr.arpa', type: 255 }))).toBe('reverse')
    expect(kindOf(query({ name: '5.2.0.192.in-addr.arpa', type: 12, class: 3 }))).toBe('forward')
  })
})
