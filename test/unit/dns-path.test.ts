import { describe, expect, test } from 'vitest'
import type { DnsPolicy } from '../../src/config/policy.ts'
import { formatPrefix, widen } from '../../src/net/prefix.ts'
import { BucketReader } from '../../src/path/bucket-reader.ts'
import { DnsSet } from '../../src/path/compile.ts'
import { HERE_MS } from '../../src/path/dns/dns.ts'
import { SWEEP_KINDS } from '../../src/path/dns/walk-records.ts'
import { Reason, Verdict } from '../../src/path/reasons.ts'
import { ptrQuery, query, reverseOf } from '../lib/dns-query.ts'
import { TestPath } from '../lib/path.ts'
import { dnsLimits, policy, service } from '../lib/policies.ts'

const START = 1_000_000
const FORWARD = query({ name: 'www.example.org' })
const NO_LIMIT = dnsLimits(1_000_000)
const SWEEP = {
  names: 30,
  partial: 16,
  withinMs: 60_000,
  source: { burst: 2, ratePerSecond: 1 },
  network: { burst: 4, ratePerSecond: 2 },
}
const FLOOD = { usualPerSecond: 25, factor: 4, calmMs: 30_000 }
const udp53 = { ports: [{ protocol: 'udp' as const, first: 53, last: 53 }] }

/** A path whose only service is DNS, with `dns` as the only limits. */
function pathOf(dns: Partial<DnsPolicy>, changes = {}): TestPath {
  const name = service('dns', 53, {
    ...udp53,
    dns: true,
    limits: { source: { burst: 1e6, ratePerSecond: 1e6 }, network: undefined, total: undefined },
    ...changes,
  })
  return new TestPath(policy([name], { dns }))
}

const ask = (path: TestPath, from: string, payload: Uint8Array, nowMs: number) =>
  path.send({ from, port: 53, protocol: 'udp', payload }, nowMs)
const look = (path: TestPath, from: string, address: number, nowMs: number) =>
  ask(path, from, ptrQuery(reverseOf(address)), nowMs)

/** A linear congruential generator (Knuth): the same numbers in each run. */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

describe('limits', () => {
  const tight = {
    source: { burst: 2, ratePerSecond: 1 },
    network: { burst: 3, ratePerSecond: 1 },
    total: { burst: 4, ratePerSecond: 1 },
  }

  test('reverse queries have buckets of their own, forward ones draw none of them', () => {
    const path = pathOf({ reverse: tight })
    expect(look(path, '198.51.100.1', 1, START)).toBe('accept within-limit')
    expect(look(path, '198.51.100.1', 900_000, START)).toBe('accept within-limit')
    expect(look(path, '198.51.100.1', 5_000_000, START)).toBe('drop reverse-limit')
    expect(ask(path, '198.51.100.1', FORWARD, START)).toBe('accept within-limit')
    // One more for the network, one more for all.
    expect(look(path, '198.51.100.2', 1, START)).toBe('accept within-limit')
    expect(look(path, '198.51.100.3', 1, START)).toBe('drop reverse-limit')
    expect(look(path, '203.0.113.1', 1, START)).toBe('accept within-limit')
    expect(look(path, '192.0.2.99', 1, START)).toBe('drop reverse-limit')
  })

  test('malformed queries have theirs; within them they are passed on', () => {
    const path = pathOf({ malformed: tight })
    const malformed = query({ name: 'a.test', counts: [7, 0, 0, 0] })
    const answers = Array.from({ length: 3 }, () => ask(path, '198.51.100.1', malformed, START))
    expect(answers).toEqual(['accept within-limit', 'accept within-limit', 'drop malformed-query'])
    expect(ask(path, '198.51.100.1', FORWARD, START)).toBe('accept within-limit')
  })

  test('what passes these is held to the limits of the service', () => {
    const limits = { source: { burst: 1, ratePerSecond: 1 }, network: undefined, total: undefined }
    const path = pathOf({}, { limits })
    expect(look(path, '198.51.100.1', 1, START)).toBe('accept within-limit')
    expect(look(path, '198.51.100.1', 1, START)).toBe('drop source-limit')
  })

  test('a service that does not speak DNS has none of them', () => {
    const path = pathOf({ malformed: tight, reverse: tight }, { dns: false })
    for (let i = 0; i < 9; i++) expect(look(path, '198.51.100.1', 1, START)).toBe('accept within-limit')
  })

  test('a query that the queue has cut off passes under a reason of its own', () => {
    const path = pathOf({ malformed: tight })
    const bytes = packetOf(query({ name: `${'x'.repeat(63)}.${'y'.repeat(63)}.example` }))
    const verdict = path.pipeline.judge(bytes, 0, 64, START)
    expect([verdict, path.pipeline.reason]).toEqual([Verdict.accept, Reason.cutShort])
    // Sent like that by the client, it is malformed.
    for (let i = 0; i < 3; i++) ask(path, '198.51.100.9', FORWARD.slice(0, 20), START)
    expect(ask(path, '198.51.100.9', FORWARD.slice(0, 20), START)).toBe('drop malformed-query')
  })

  test('over TCP there are buckets of their own: whoever is sent there finds them full', () => {
    const limits = {
      source: { burst: 1, ratePerSecond: 1e-5 },
      network: undefined,
      total: { burst: 1, ratePerSecond: 1e-5 },
    }
    const both = [udp53.ports[0]!, { protocol: 'tcp' as const, first: 53, last: 53 }]
    const path = pathOf({}, { limits, ports: both })
    ask(path, '198.51.100.1', FORWARD, START)
    expect(ask(path, '198.51.100.1', FORWARD, START)).toBe('drop source-limit')
    expect(ask(path, '203.0.113.1', FORWARD, START)).toBe('drop total-limit')
    expect(path.send({ from: '198.51.100.1', port: 53 }, START)).toBe('accept within-limit')
    expect(path.send({ from: '198.51.100.1', port: 53 }, START)).toBe('drop source-limit')
  })

  test('in shadow mode they only count', () => {
    const path = pathOf({ reverse: tight }, { mode: 'shadow' })
    for (let i = 0; i < 2; i++) look(path, '198.51.100.1', 1, START)
    expect(look(path, '198.51.100.1', 1, START)).toBe('shadow reverse-limit')
    expect(path.pipeline.slip).toBe(false)
  })
})

describe('slip', () => {
  const refuseAll = {
    source: { burst: 1, ratePerSecond: 1e-5 },
    network: NO_LIMIT.network,
    total: NO_LIMIT.total,
  }
  const slipped = (slip: number, payload: Uint8Array, count = 3000) => {
    const path = pathOf({ reverse: refuseAll, malformed: refuseAll, slip, slipPerSecond: 1_000_000 })
    let marks = 0
    for (let i = 0; i <= count; i++) {
      const answer = ask(path, '198.51.100.1', payload, START)
      if (i > 0) expect(answer).toMatch(/^drop/)
      if (path.pipeline.slip) marks++
    }
    return marks / count
  }

  test.each([1, 2, 5, 10])('one in %d refused queries is marked', (slip) => {
    expect(slipped(slip, ptrQuery('1.2.0.192.in-addr.arpa'))).toBeCloseTo(1 / slip, 1)
  })

  test('none when it is off, and none that is no query', () => {
    expect(slipped(0, ptrQuery('1.2.0.192.in-addr.arpa'))).toBe(0)
    expect(slipped(1, query({ name: 'a.test', counts: [2, 0, 0, 0] }))).toBe(0)
  })

  /** How many queries are marked that `count` sources ask within a second from `nowMs` on, each for the name `name(n)`. */
  const marks = (path: TestPath, count: number, name: (n: number) => number, nowMs: number) => {
    let marked = 0
    for (let n = 0; n < count; n++) {
      look(path, `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`, name(n), nowMs + (1000 * n) / count)
      if (path.pipeline.slip) marked++
    }
    return marked
  }
  const refuseOthers = { ...refuseAll, source: NO_LIMIT.source, total: { burst: 1, ratePerSecond: 1e-5 } }
  const refusing = (slip: number, slipPerSecond: number) => {
    const path = pathOf({ reverse: refuseOthers, slip, slipPerSecond })
    look(path, '198.51.100.1', 1, START)
    return path
  }
  /** Names that nobody has asked for before. */
  const others = (round: number) => (n: number) => (round << 20) + n

  test('no more than the rate, with a second of it at once; half of it waits for retries', () => {
    const path = refusing(1, 100)
    const rounds = Array.from({ length: 9 }, (_, i) => marks(path, 500, others(i), START + 1000 * i))
    expect(rounds[0]).toBeLessThan(180)
    for (const marked of rounds.slice(1)) expect(Math.abs(marked - 100)).toBeLessThanOrEqual(2)
  })

  test('whoever asks the same again is answered first, whatever the case of the name', () => {
    const path = pathOf(
      { reverse: refuseOthers, malformed: refuseOthers, slip: 10, slipPerSecond: 100 },
      {
        limits: { ...refuseOthers, source: NO_LIMIT.source },
      },
    )
    look(path, '198.51.100.1', 1, START)
    const again = (payload: Uint8Array, nowMs: number) => {
      ask(path, '203.0.113.1', payload, nowMs)
      return path.pipeline.slip
    }
    for (const [i, [first, second]] of [
      [ptrQuery('1.2.0.192.in-addr.arpa'), ptrQuery('1.2.0.192.IN-ADDR.arpa')] as const,
      [query({ name: 'www.example.org' }), query({ name: 'wWw.eXAmple.oRG' })] as const,
    ].entries()) {
      const at = START + 20_000 * i
      // A flood of others takes what chance gives.
      marks(path, 5000, others(i), at)
      expect(again(first, at + 1)).toBe(false)
      expect(again(second, at + 800)).toBe(true)
      // Its answer is on the way.
      expect(again(second, at + 801)).toBe(false)
    }
    // What was asked long ago is asked anew.
    marks(path, 5000, others(9), START + 60_000)
    expect(again(query({ name: 'www.example.org' }), START + 60_001)).toBe(false)
  })

  test('a flood that asks everything twice takes the half of retries, and of the other no more than its share', () => {
    const path = refusing(2, 100)
    const marked = { first: 0, again: 0 }
    const lookOnce = (round: number, n: number, kind: keyof typeof marked, nowMs: number) => {
      look(path, `10.${n >> 8}.${n & 255}.${round}`, others(round)(n), nowMs)
      if (path.pipeline.slip) marked[kind]++
    }
    for (let second = 1; second <= 20; second++) {
      for (let n = 0; n < 1000; n++) {
        lookOnce(second, n, 'first', START + 1000 * second + n)
        lookOnce(second - 1, n, 'again', START + 1000 * second + n)
      }
    }
    // Of 100 a second half is for the second tries, and of the other half the first ones have theirs.
    expect(marked.first).toBeGreaterThan(400)
    expect(marked.again).toBeGreaterThan(900)
    expect(marked.first + marked.again).toBeLessThan(2200)
  })

  test('what is accepted is not marked', () => {
    const path = pathOf({ reverse: refuseAll, slip: 1 })
    look(path, '198.51.100.1', 1, START)
    look(path, '198.51.100.1', 1, START)
    expect(path.pipeline.slip).toBe(true)
    ask(path, '198.51.100.1', FORWARD, START)
    expect(path.pipeline.slip).toBe(false)
  })
})

/** The answers to `count` reverse queries, 20 a second; `source` and `address` say whose the n-th is and for what. */
function walk(
  path: TestPath,
  count: number,
  source: (n: number) => string,
  address: (n: number) => number,
): string[] {
  return Array.from({ length: count }, (_, n) => look(path, source(n), address(n), START + 50 * n))
}

const refusedIn = (answers: readonly string[]) => answers.filter((answer) => answer === 'drop sweep').length
const recognised = (path: TestPath) =>
  SWEEP_KINDS.filter((_, kind) => path.pipeline.counters.sweeps[kind]! > 0)
const one = () => '198.51.100.1'
const NET = 0xc6120000

describe('sweeps', () => {
  const random = numbers(7)
  const inside = (bits: number) => () => NET + Math.floor(random() * 2 ** bits)
  const anywhere = () => Math.floor(random() * 2 ** 32)

  test.each<[string, number, (n: number) => string, (n: number) => number, string]>([
    ['one name after the other', 100, one, (n) => NET + n, 'sequential'],
    ['downwards', 100, one, (n) => NET + 5000 - n, 'sequential'],
    ['every second address', 100, one, (n) => NET + 2 * n, 'sequential'],
    ['at random in a /24', 150, one, inside(8), 'random'],
    ['at random in a /16', 100, one, inside(16), 'random'],
    ['with strides', 100, one, (n) => NET + ((n * 257) & 0xffff), 'random'],
    [
      'with every sixth name from elsewhere',
      150,
      one,
      (n) => (n % 6 === 0 ? anywhere() : NET + n),
      'sequential',
    ],
    ['two walks at once', 200, one, (n) => NET + (n % 2) * 5_000_000 + n, 'sequential'],
    [
      'dealt out to 64 sources of a network',
      400,
      (n) => `198.51.100.${n % 64}`,
      (n) => NET + n,
      'sequential',
    ],
    [
      'dealt out in blocks to 64 sources of a network',
      400,
      (n) => `198.51.100.${n % 64}`,
      (n) => NET + (n % 64) * 1000 + Math.floor(n / 64),
      'random',
    ],
  ])('%s', (_, count, source, address, kind) => {
    const path = pathOf({ sweep: SWEEP })
    const answers = walk(path, count, source, address)
    expect(recognised(path)).toEqual([kind])
    expect(refusedIn(answers.slice(-count / 4))).toBeGreaterThan(count / 8)
  })

  test.each<[string, number, (n: number) => string, (n: number) => number]>([
    ['a mail server that looks up its clients, anywhere on the internet', 2000, one, anywhere],
    [
      'one that is asked about the same 20 neighbours again and again',
      2000,
      one,
      (n) => NET + ((n * 7) % 20),
    ],
    ['a retry of each name', 60, one, (n) => NET + Math.floor(n / 3)],
    ['a person with a list of a /28', 16, one, (n) => NET + n],
    ['clients of one network, each with names of its own', 2000, (n) => `198.51.100.${n % 200}`, anywhere],
  ])('not: %s', (_, count, source, address) => {
    const path = pathOf({ sweep: SWEEP })
    const answers = walk(path, count, source, address)
    expect(recognised(path)).toEqual([])
    expect(new Set(answers)).toEqual(new Set(['accept within-limit']))
  })

  test('a slow walk is none: ten names a minute', () => {
    const path = pathOf({ sweep: SWEEP })
    for (let n = 0; n < 300; n++) look(path, one(), NET + n, START + 6000 * n)
    expect(recognised(path)).toEqual([])
  })

  test("a walk down the tree of ip6.arpa, but not whole addresses of one /48 at a resolver's pace", () => {
    const path = pathOf({ sweep: SWEEP })
    const prefix = '1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa'
    const answers = Array.from({ length: 64 }, (_, n) =>
      ask(path, one(), ptrQuery(`${(n & 15).toString(16)}.${(n >> 4).toString(16)}.${prefix}`), START + n),
    )
    expect(recognised(path)).toEqual(['tree'])
    expect(refusedIn(answers)).toBeGreaterThan(32)
  })

  test('forward queries of a source that walks are served', () => {
    const path = pathOf({ sweep: SWEEP })
    walk(path, 100, one, (n) => NET + n)
    expect(look(path, one(), NET + 100, START + 5000)).toBe('drop sweep')
    expect(ask(path, one(), FORWARD, START + 5000)).toBe('accept within-limit')
  })

  test('what a source was taken for fades when it stops', () => {
    const path = pathOf({ sweep: SWEEP })
    walk(path, 100, one, (n) => NET + n)
    expect(look(path, one(), anywhere(), START + 5000)).toBe('drop sweep')
    expect(look(path, one(), anywhere(), START + 600_000)).toBe('accept within-limit')
    for (let n = 0; n < 10; n++) {
      expect(look(path, one(), anywhere(), START + 600_000 + n)).toBe('accept within-limit')
    }
  })

  test('a flood of forged sources does not wash out who walks', () => {
    const path = pathOf({ sweep: SWEEP })
    walk(path, 100, one, (n) => NET + n)
    for (let n = 0; n < 20_000; n++) look(path, `10.${n >> 8}.${n & 255}.1`, anywhere(), START + 5000)
    expect(look(path, one(), NET + 100, START + 5000)).toBe('drop sweep')
  })

  test('the evidence tells how far apart the names are', () => {
    const path = pathOf({ sweep: SWEEP })
    walk(path, 100, one, (n) => NET + n)
    const { sweeps } = path.pipeline.dns
    const evidence = sweeps.evidence(4, 0, 0xc6336401, false, START + 5000, 60_000)!
    expect(evidence).toMatchObject({ kind: 'sequential', near: 1, within: 1, meanDistance: 1 })
    expect(evidence.names).toBeGreaterThan(70)
    expect(evidence.names).toBeLessThan(130)
    expect(sweeps.evidence(4, 0, 0xc6336400, true, START + 5000, 60_000)).toMatchObject({ near: 1 })
    expect(sweeps.evidence(4, 0, 0xc6336402, false, START + 5000, 60_000)).toBeUndefined()
  })
})

describe('floods', () => {
  const random = numbers(9)
  const stranger = () =>
    `${1 + Math.floor(random() * 200)}.${Math.floor(random() * 256)}.${Math.floor(random() * 256)}.1`
  const anywhere = () => Math.floor(random() * 2 ** 32)
  /** `count` reverse queries from as many sources within a second. */
  const flood = (path: TestPath, count: number, nowMs: number) =>
    Array.from({ length: count }, (_, n) =>
      look(path, stranger(), anywhere(), nowMs + Math.floor((1000 * n) / count)),
    )

  test("begins in the second that has more than four times the usual, and refuses strangers' reverse queries only", () => {
    const path = pathOf({ flood: FLOOD })
    const answers = flood(path, 200, START)
    expect(answers.indexOf('drop reverse-flood')).toBe(101)
    expect(answers.slice(101)).toEqual(Array(99).fill('drop reverse-flood'))
    expect(ask(path, stranger(), FORWARD, START + 999)).toBe('accept within-limit')
  })

  test('ends when it has been below half of that for thirty seconds', () => {
    const path = pathOf({ flood: FLOOD })
    flood(path, 200, START)
    // 60 a second is more than half.
    for (let second = 1; second < 60; second++) flood(path, 60, START + 1000 * second)
    expect(path.pipeline.dns.rate.isFlooded).toBe(true)
    for (let second = 60; second < 90; second++) flood(path, 10, START + 1000 * second)
    expect(path.pipeline.dns.rate.isFlooded).toBe(true)
    expect(flood(path, 10, START + 91_000)).toContain('accept within-limit')
    expect(path.pipeline.dns.rate.isFlooded).toBe(false)
  })

  test('ends when no query comes at all', () => {
    const path = pathOf({ flood: FLOOD })
    flood(path, 200, START)
    const { rate } = path.pipeline.dns
    expect(rate.state(path.pipeline.policy, START + 10_000)).toMatchObject({ isFlooded: true, floods: 1 })
    expect(rate.state(path.pipeline.policy, START + 40_000)).toMatchObject({ isFlooded: false, perSecond: 0 })
    expect(look(path, stranger(), 1, START + 40_000)).toBe('accept within-limit')
  })

  test('one source alone makes none: it meets its own limit first', () => {
    const limit = {
      source: { burst: 20, ratePerSecond: 10 },
      network: NO_LIMIT.network,
      total: NO_LIMIT.total,
    }
    const path = pathOf({ flood: FLOOD, reverse: limit })
    for (let n = 0; n < 5000; n++) look(path, one(), anywhere(), START + n / 5)
    expect(path.pipeline.dns.rate.isFlooded).toBe(false)
  })

  /** Asks for other names every half minute for `minutes`, and what is left of the last one. */
  const attend = (path: TestPath, from: string, startMs: number, minutes: number) => {
    for (let half = 0; half <= 2 * minutes; half++) ask(path, from, FORWARD, startMs + 30_000 * half)
  }
  /** Which of the sources is answered when each asks for a name at `nowMs`. */
  const served = (path: TestPath, sources: readonly string[], nowMs: number) =>
    sources.filter((from) => look(path, from, anywhere(), nowMs) === 'accept within-limit')
  const crowd = (count: number) => Array.from({ length: count }, (_, n) => `203.${n >> 8}.${n & 255}.9`)

  test('whoever had asked for ten minutes before is served, however many others are', () => {
    const path = pathOf({ flood: FLOOD })
    const others = crowd(300)
    for (let minute = 0; minute <= 15; minute++) {
      ask(path, '203.0.113.1', FORWARD, START + 60_000 * minute)
      // With a pause.
      if (minute < 5 || minute > 9) ask(path, '203.0.113.3', FORWARD, START + 60_000 * minute)
      if (minute > 12) for (const from of others) ask(path, from, FORWARD, START + 60_000 * minute)
    }
    const now = START + 15.5 * 60_000
    flood(path, 300, now)
    served(path, others, now + 999)
    expect(served(path, ['203.0.113.1', '203.0.113.3'], now + 999)).toEqual(['203.0.113.1'])
  })

  test('those who were here for two whole steps of 16 s before share half of what is no flood yet', () => {
    const path = pathOf({ flood: FLOOD })
    const honest = crowd(40)
    for (const from of honest) attend(path, from, START, 1)
    ask(path, '198.51.100.7', FORWARD, START + 59_000)
    const now = START + 70_000
    flood(path, 300, now)
    for (let second = 1; second < 25; second++) {
      expect(served(path, honest, now + 1000 * second)).toEqual(honest)
      expect(served(path, ['198.51.100.7'], now + 1000 * second)).toEqual([])
    }
    // 400 forged addresses that were here as well win that half, of 50 a second, and no more.
    const forged = crowd(400)
    const other = pathOf({ flood: FLOOD })
    for (const from of forged) attend(other, from, START, 1)
    flood(other, 300, now)
    const won = [1, 2, 3, 4, 5].map((second) => served(other, forged, now + 1000 * second).length)
    for (const count of won.slice(1)) expect(count).toBeGreaterThanOrEqual(48)
    for (const count of won) expect(count).toBeLessThanOrEqual(52)
  })

  describe('that fill the queue', () => {
    const fill = ({ pipeline }: TestPath, nowMs: number) => {
      for (let i = 0; i < 1025; i++) pipeline.holds.beginBatch(64, true, pipeline.policy, nowMs)
    }
    const handedOver = (path: TestPath) =>
      path.holds.drain().map(({ source, serviceSlot, detail, atMs }) => {
        expect(serviceSlot).toBe(DnsSet.reverse)
        return { who: formatPrefix(widen(source, detail)), atMs }
      })

    test('are to be thinned out, for everybody, twice a second, while many are refused', () => {
      const path = pathOf({ flood: FLOOD })
      flood(path, 300, START)
      fill(path, START + 1000)
      flood(path, 3000, START + 1000)
      const asked = handedOver(path)
      expect(asked.map(({ who }) => who)).toEqual(['0.0.0.0/0', '0.0.0.0/0'])
      expect(asked[1]!.atMs - asked[0]!.atMs).toBeGreaterThan(400)
      flood(path, 2000, START + 2000)
      expect(handedOver(path)).toHaveLength(2)
      flood(path, 90, START + 3000)
      expect(handedOver(path)).toHaveLength(0)
    })

    test('are not while the queue is not filling, and not with holds: off', () => {
      const path = pathOf({ flood: FLOOD })
      flood(path, 300, START)
      flood(path, 3000, START + 1000)
      expect(handedOver(path)).toEqual([])
      const off = new TestPath(
        policy([service('dns', 53, { ...udp53, dns: true })], { dns: { flood: FLOOD }, holds: undefined }),
      )
      flood(off, 300, START)
      fill(off, START + 1000)
      flood(off, 3000, START + 1000)
      expect(handedOver(off)).toEqual([])
    })

    test('who is answered meanwhile is to be spared', () => {
      const path = pathOf({ flood: FLOOD })
      attend(path, '203.0.113.7', START, 1)
      const now = START + 70_000
      flood(path, 300, now)
      look(path, '203.0.113.7', anywhere(), now + 999)
      expect(handedOver(path)).toEqual([])
      fill(path, now + 1000)
      look(path, '203.0.113.7', anywhere(), now + 1000)
      ask(path, '203.0.113.7', FORWARD, now + 1000)
      look(path, '198.51.100.7', anywhere(), now + 1000)
      expect(handedOver(path).map(({ who }) => who)).toEqual(['203.0.113.7'])
      const reader = new BucketReader(path.shared)
      const residents = [...reader.residents(path.slots.slotOf('dns'), 4, now, HERE_MS)]
      expect(residents.map(formatPrefix)).toEqual(['203.0.113.7'])
      expect([...reader.residents(path.slots.slotOf('dns'), 6, now, HERE_MS)]).toEqual([])
      expect([...reader.residents(path.slots.slotOf('dns'), 4, now, 600_000)]).toEqual([])
    })
  })

  test('one of them who floods has his own limit, and takes nothing from the others beyond it', () => {
    const source = { burst: 5, ratePerSecond: 1 }
    const path = pathOf({ flood: FLOOD, reverse: { ...NO_LIMIT, source } })
    const honest = crowd(20)
    for (const from of honest) attend(path, from, START, 1)
    const now = START + 70_000
    flood(path, 300, now)
    for (let n = 0; n < 1000; n++) look(path, honest[0]!, anywhere(), now + 500)
    expect(served(path, honest.slice(1), now + 999)).toEqual(honest.slice(1))
  })

  test('those who ask for other things while it lasts share a quarter, and take nothing from who was here before', () => {
    const path = pathOf({ flood: FLOOD })
    attend(path, '198.51.100.7', START - 60_000, 1)
    flood(path, 200, START)
    const newcomers = crowd(300)
    for (let second = 1; second < 120; second++) {
      if (second % 20 === 1)
        for (const from of [...newcomers, '198.51.100.7']) ask(path, from, FORWARD, START + 1000 * second)
      flood(path, 60, START + 1000 * second)
    }
    const won = [0, 1, 2, 3].map((second) => served(path, newcomers, START + 120_000 + 1000 * second).length)
    for (const count of won.slice(1)) expect(count).toBeGreaterThanOrEqual(23)
    for (const count of won) expect(count).toBeLessThanOrEqual(27)
    expect(served(path, ['198.51.100.7'], START + 124_000)).toEqual(['198.51.100.7'])
  })

  test('whoever was refused by his own limit was not steady', () => {
    const limits = { source: { burst: 5, ratePerSecond: 1 }, network: undefined, total: undefined }
    const path = pathOf({ flood: FLOOD }, { limits })
    for (let minute = 0; minute <= 15; minute++) {
      const count = minute === 15 ? 9 : 1
      for (let n = 0; n < count; n++) ask(path, '203.0.113.1', FORWARD, START + 60_000 * minute)
    }
    flood(path, 300, START + 930_000)
    expect(look(path, '203.0.113.1', 1, START + 930_999)).toBe('drop reverse-flood')
  })

  test('whoever was here is so no more when he was away, and is so still after days', () => {
    const path = pathOf({ flood: FLOOD })
    attend(path, '203.0.113.1', START, 20)
    attend(path, '203.0.113.2', START, 3 * 24 * 60)
    const now = START + 3 * 24 * 3_600_000 + 1000
    flood(path, 300, now)
    expect(served(path, ['203.0.113.1', '203.0.113.2'], now + 999)).toEqual(['203.0.113.2'])
  })

  test('the level is learned, but at most doubles in a day, and never from a flood', () => {
    const path = pathOf({ flood: FLOOD })
    const { rate } = path.pipeline.dns
    const compiled = path.pipeline.policy
    const levelAfter = (seconds: number, perSecond: number, startMs: number) => {
      for (let second = 0; second < seconds; second++) {
        rate.advance(compiled, startMs + 1000 * second)
        for (let n = 0; n < perSecond; n++) rate.count(compiled, startMs + 1000 * second)
      }
      return rate.state(compiled, startMs + 1000 * seconds).level
    }
    // Below four times the level it is no flood; an hour is a 24th of a day.
    expect(levelAfter(3600, 90, START)).toBeCloseTo(25 * 2 ** (1 / 24), 2)
    const learned = levelAfter(2, 10, START + 3_600_000)
    expect(levelAfter(3600, 500, START + 3_700_000)).toBeCloseTo(learned, 1)
  })
})

function packetOf(payload: Uint8Array): Uint8Array {
  const header = [0x45, 0, 0, 28 + payload.length, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 51, 100, 1, 192, 0, 2, 1]
  return Uint8Array.from([...header, 0x9c, 0x40, 0, 53, 0, 8 + payload.length, 0, 0, ...payload])
}
