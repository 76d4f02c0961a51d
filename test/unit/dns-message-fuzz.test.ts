import { readFileSync } from 'node:fs'
import { decode as decodeDns, encode, type Packet } from 'dns-packet'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decode, PacketView } from '../../src/path/decode.ts'
import { DNS_KINDS, DnsKind, DnsMessage } from '../../src/path/dns/message.ts'
import { parseDns } from '../../src/path/dns/parse.ts'
import { Reason } from '../../src/path/reasons.ts'
import { ptrQuery, query } from '../lib/dns-query.ts'
import { readCapture } from '../lib/read-capture.ts'
import { hasSharedCaptures, SHARED_CAPTURES } from '../lib/shared-captures.ts'

const isThere = hasSharedCaptures('the DNS of the real captures is not parsed')

/** Reads as `bytes` do, and reports each look outside `[start, end)`. */
function guard(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Proxy(bytes, {
    get(target, key) {
      const index = Number(key)
      if (Number.isInteger(index) && (index < start || index >= end)) throw new RangeError(`byte ${index}`)
      return Reflect.get(target, key, target)
    },
  })
}

const parse = (message: DnsMessage, bytes: Uint8Array, isCut = false) =>
  parseDns(message, guard(bytes, 0, bytes.length), 0, bytes.length, isCut)

/** The name in the question, as `dns-packet` writes it. */
function nameIn(message: DnsMessage, bytes: Uint8Array): string {
  const labels = [...message.labelAt.subarray(0, message.labels)].map((at) =>
    Buffer.from(bytes.subarray(at + 1, at + 1 + bytes[at]!)).toString('utf8'),
  )
  return labels.length === 0 ? '.' : labels.join('.')
}

const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/)
const forwardName = fc.array(label, { minLength: 1, maxLength: 8 }).map((labels) => labels.join('.'))
const reverseName = fc.oneof(
  fc.array(fc.nat(255), { minLength: 1, maxLength: 4 }).map((octets) => `${octets.join('.')}.in-addr.arpa`),
  fc.stringMatching(/^[0-9a-fA-F]{1,32}$/).map((digits) => `${[...digits].join('.')}.ip6.arpa`),
)
const TYPES = ['A', 'AAAA', 'NS', 'MX', 'TXT', 'SOA', 'PTR', 'SRV', 'ANY', 'CAA', 'DS'] as const
const question = fc.record({
  id: fc.nat(65_535),
  name: fc.oneof(forwardName, reverseName),
  type: fc.constantFrom(...TYPES),
  hasEdns: fc.boolean(),
})

describe('what dns-packet has written', () => {
  test('is read alike: question, counts and kind', () => {
    fc.assert(
      fc.property(question, ({ id, name, type, hasEdns }) => {
        const options = { udpPayloadSize: 1232, extendedRcode: 0, ednsVersion: 0, flags: 0, options: [] }
        const opt = { type: 'OPT', name: '.', flag_do: false, ...options } as const
        const bytes = encode({
          type: 'query',
          id,
          questions: [{ name, type: type as 'A' }],
          ...(hasEdns && { additionals: [opt] }),
        } as Packet)
        const theirs = decodeDns(bytes).questions![0]!
        const message = new DnsMessage()
        const kind = parse(message, bytes)
        expect(nameIn(message, bytes)).toBe(theirs.name)
        expect(message.questionEnd).toBe(bytes.length - (hasEdns ? 11 : 0))
        expect(message.class).toBe(1)
        const isReverse = /\.(in-addr|ip6)\.arpa$/i.test(name) && ['PTR', 'ANY'].includes(type)
        expect(DNS_KINDS[kind]).toBe(isReverse ? 'reverse' : 'forward')
      }),
      { numRuns: 2000 },
    )
  })

  test('answers are answers, whatever is in them', () => {
    fc.assert(
      fc.property(question, ({ id, name }) => {
        const answers = [{ type: 'A', name, data: '192.0.2.1' }] as const
        const bytes = encode({
          type: 'response',
          id,
          questions: [{ name, type: 'A' }],
          answers: [...answers],
        })
        expect(DNS_KINDS[parse(new DnsMessage(), bytes)]).toBe('answer')
      }),
    )
  })

  test('cut anywhere, it is cut short or malformed, never something else than the whole', () => {
    fc.assert(
      fc.property(question, fc.nat(), ({ id, name, type }, at) => {
        const bytes = encode({ type: 'query', id, questions: [{ name, type: type as 'A' }] })
        const part = bytes.subarray(0, at % bytes.length)
        expect(parse(new DnsMessage(), part, true)).toBe(DnsKind.cutShort)
        expect(parse(new DnsMessage(), part, false)).toBe(DnsKind.malformed)
      }),
    )
  })
})

/** What must hold of any bytes. */
function check(message: DnsMessage, kind: DnsKind, length: number): void {
  expect(DNS_KINDS[kind]).toBeDefined()
  expect(message.labels).toBeLessThanOrEqual(127)
  if (kind <= DnsKind.reverse) expect(message.questionEnd).toBeGreaterThan(16)
  expect(message.questionEnd).toBeLessThanOrEqual(length)
  if (kind !== DnsKind.reverse) return
  expect([4, 6]).toContain(message.family)
  expect(message.prefixLength).toBeGreaterThanOrEqual(0)
  expect(message.prefixLength).toBeLessThanOrEqual(message.family === 4 ? 32 : 128)
}

describe('hostile bytes', () => {
  test('of any kind have a kind, and nothing outside them is read', () => {
    const message = new DnsMessage()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, isCut) => {
        check(message, parse(message, bytes, isCut), bytes.length)
      }),
      { numRuns: 5000 },
    )
  })

  test('made from queries by changing some of them, as well', () => {
    const seeds = [
      query({ name: 'www.example.org' }),
      ptrQuery('5.0/25.2.0.192.in-addr.arpa'),
      ptrQuery(`${'f.'.repeat(32)}ip6.arpa`),
      ptrQuery(`${'1.'.repeat(118)}ip6.arpa`),
    ]
    const message = new DnsMessage()
    const change = fc.tuple(fc.nat(300), fc.nat(255))
    fc.assert(
      fc.property(fc.constantFrom(...seeds), fc.array(change, { maxLength: 6 }), (seed, changes) => {
        const bytes = seed.slice()
        for (const [at, value] of changes) bytes[at % bytes.length] = value
        check(message, parse(message, bytes), bytes.length)
      }),
      { numRuns: 10_000 },
    )
  })
})

describe.runIf(isThere)('real captures', () => {
  const files = isThere
    ? readFileSync(`${SHARED_CAPTURES}INDEX.tsv`, 'utf8')
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => line.split('\t'))
        .filter(([, category = '']) => category.startsWith('dns-') || category === 'malformed')
        .map(([file = '']) => file)
    : []

  test('every datagram from or to port 53 has a kind, and dns-packet sees the same question', async () => {
    const counts = new Map<string, number>()
    const differing: string[] = []
    const view = new PacketView()
    const message = new DnsMessage()
    for (const file of files) {
      const { packets } = await readCapture(SHARED_CAPTURES + file).catch(() => ({ packets: [] }))
      for (const { bytes } of packets) {
        if (decode(view, bytes, 0, bytes.length) !== Reason.withinLimit || view.protocol !== 17) continue
        if (view.destinationPort !== 53 && view.sourcePort !== 53) continue
        const { payloadStart, payloadEnd, isPayloadCut } = view
        const guarded = guard(bytes, payloadStart, payloadEnd)
        const kind = parseDns(message, guarded, payloadStart, payloadEnd, isPayloadCut)
        const name = DNS_KINDS[kind]!
        counts.set(name, (counts.get(name) ?? 0) + 1)
        if (kind > DnsKind.reverse) continue
        const theirs = questionOf(bytes.subarray(payloadStart, payloadEnd))
        if (theirs !== undefined && theirs !== nameIn(message, bytes)) differing.push(`${file}: ${theirs}`)
      }
    }
    expect(differing).toEqual([])
    expect(files.length).toBeGreaterThan(400)
    expect(Object.fromEntries(counts)).toMatchObject({
      forward: expect.any(Number),
      reverse: expect.any(Number),
      malformed: expect.any(Number),
      answer: expect.any(Number),
    })
    expect(counts.get('reverse')).toBeGreaterThan(400)
  })
})

/** By dns-packet; `undefined` where it refuses what it finds behind the question. */
function questionOf(payload: Buffer): string | undefined {
  try {
    return decodeDns(payload).questions![0]!.name
  } catch {
    return undefined
  }
}
