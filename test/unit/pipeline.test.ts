import { describe, expect, test } from 'vitest'
import { formatPrefix, parsePrefix } from '../../src/net/prefix.ts'
import { decisionIndex } from '../../src/path/counters.ts'
import { Known } from '../../src/path/known-good.ts'
import { Reason, Verdict } from '../../src/path/reasons.ts'
import { NO_SERVICE } from '../../src/path/service-slots.ts'
import { ptrQuery, reverseOf } from '../lib/dns-query.ts'
import { packet } from '../lib/packets.ts'
import { TestPath } from '../lib/path.ts'
import { policy, service } from '../lib/policies.ts'

const START = 1_000_000
const perMinute = (burst: number, rate: number) => ({ burst, ratePerSecond: rate / 60 })
const noLimits = { source: undefined, network: undefined, total: undefined }

function ssh(
  limits: Partial<typeof noLimits | Record<keyof typeof noLimits, ReturnType<typeof perMinute>>>,
  rest = {},
) {
  return service('ssh', 22, { limits: { ...noLimits, ...limits }, ...rest })
}

describe('limits', () => {
  test('a source gets its burst at once, then its rate', () => {
    const path = new TestPath(policy([ssh({ source: perMinute(5, 6) })]))
    expect(path.accepted(20, { from: '198.51.100.1', port: 22 }, START)).toBe(5)
    expect(path.accepted(600, { from: '198.51.100.1', port: 22 }, START, 1000)).toBe(59)
  })

  test.each([
    ['IPv4 addresses have buckets of their own', '198.51.100.1', '198.51.100.2', 'accept within-limit'],
    ['addresses of one IPv6 /64 share a bucket', '2001:db8::1', '2001:db8::2', 'drop source-limit'],
    ['IPv6 /64s have buckets of their own', '2001:db8:0:1::1', '2001:db8:0:2::1', 'accept within-limit'],
    [
      'an IPv4 address and the IPv6 /64 with the same bits do not meet',
      '0.1.0.2',
      '0:0:1:2::1',
      'accept within-limit',
    ],
  ])('%s', (_, first, second, expected) => {
    const path = new TestPath(policy([ssh({ source: perMinute(1, 1) })]))
    path.send({ from: first, port: 22 }, START)
    expect(path.send({ from: second, port: 22 }, START)).toBe(expected)
  })

  test.each([
    ['IPv4 /24', '198.51.100.1', '198.51.100.254', '198.51.101.1'],
    ['IPv6 /48', '2001:db8:7:1::1', '2001:db8:7:2::1', '2001:db8:8:1::1'],
  ])('the network limit counts an %s together', (_, first, neighbour, stranger) => {
    const path = new TestPath(policy([ssh({ source: perMinute(9, 1), network: perMinute(9, 1) })]))
    expect(path.accepted(9, { from: first, port: 22 }, START)).toBe(9)
    expect(path.send({ from: neighbour, port: 22 }, START)).toBe('drop network-limit')
    expect(path.send({ from: stranger, port: 22 }, START)).toBe('accept within-limit')
  })

  test('the total counts all sources of a service, and no other service', () => {
    const smtp = service('smtp', 25, { limits: { ...noLimits, total: perMinute(1, 1) } })
    const path = new TestPath(policy([ssh({ total: perMinute(2, 1) }), smtp]))
    expect(path.accepted(1, { from: '198.51.100.1', port: 22 }, START)).toBe(1)
    expect(path.accepted(1, { from: '203.0.113.1', port: 22 }, START)).toBe(1)
    expect(path.send({ from: '192.0.2.99', port: 22 }, START)).toBe('drop total-limit')
    expect(path.send({ from: '192.0.2.99', port: 25 }, START)).toBe('accept within-limit')
  })

  test('a source over its own limit takes nothing from its network and the total', () => {
    const path = new TestPath(
      policy([ssh({ source: perMinute(1, 1), network: perMinute(2, 1), total: perMinute(2, 1) })]),
    )
    expect(path.accepted(50, { from: '198.51.100.1', port: 22 }, START)).toBe(1)
    expect(path.send({ from: '198.51.100.2', port: 22 }, START)).toBe('accept within-limit')
  })

  test('forged sources that the total refuses leave no trace in the table', () => {
    const path = new TestPath(
      policy([ssh({ source: perMinute(5, 1), network: perMinute(5, 1), total: perMinute(3, 1) })]),
    )
    for (let i = 0; i < 1000; i++) path.send({ from: `10.${i >> 8}.${i & 255}.1`, port: 22 }, START)
    expect(path.pipeline.counters.sources[0]).toBe(3)
    expect(path.pipeline.counters.networks[0]).toBe(3)
  })

  test('each UDP datagram is an attempt', () => {
    const dns = service('dns', 53, {
      ports: [{ protocol: 'udp', first: 53, last: 53 }],
      limits: { ...noLimits, source: perMinute(2, 60) },
    })
    const path = new TestPath(policy([dns]))
    expect(path.accepted(10, { from: '198.51.100.1', port: 53, protocol: 'udp' }, START)).toBe(2)
    expect(path.send({ from: '198.51.100.1', port: 53 }, START)).toBe('accept no-service')
  })

  test('a clock that jumps back costs a source no more than one burst', () => {
    const path = new TestPath(policy([ssh({ source: perMinute(5, 60) })]))
    path.accepted(5, { from: '198.51.100.1', port: 22 }, START + 3_600_000)
    path.send({ from: '198.51.100.1', port: 22 }, START)
    expect(path.send({ from: '198.51.100.1', port: 22 }, START + 1001)).toBe('accept within-limit')
  })
})

describe('a source known good', () => {
  const [FRIEND, STRANGER] = [
    { from: '198.51.100.1', port: 22 },
    { from: '198.51.100.2', port: 22 },
  ]
  const UNTIL = START + 3_600_000
  const limits = {
    source: perMinute(2, 1),
    network: perMinute(3, 1),
    total: perMinute(4, 1),
    known: perMinute(10, 60),
  }
  const strict = (rest = {}) => policy([service('ssh', 22, { limits, ...rest })])

  function pathKnowing(prefix: string, rest = {}) {
    const path = new TestPath(strict(rest))
    path.known.set(parsePrefix(prefix), path.slots.slotOf('ssh'), Known.trusted, UNTIL, START)
    return path
  }

  test('has a larger bucket of its own', () => {
    const path = pathKnowing(FRIEND.from)
    expect(path.accepted(20, FRIEND, START)).toBe(10)
    expect(path.send(FRIEND, START)).toBe('drop known-limit')
    expect(path.send(FRIEND, START + 1001)).toBe('accept known-good')
  })

  test('gets in when strangers have used up network and total, and takes nothing from them', () => {
    const path = pathKnowing(FRIEND.from)
    expect(path.accepted(10, FRIEND, START)).toBe(10)
    expect(path.accepted(2, STRANGER, START)).toBe(2)
    for (let i = 0; i < 100; i++) path.send({ from: `203.0.${i}.1`, port: 22 }, START)
    expect(path.send({ from: '192.0.2.1', port: 22 }, START)).toBe('drop total-limit')
    expect(path.send(FRIEND, START + 2000)).toBe('accept known-good')
  })

  test('is a stranger when its time is over, and with what it owed as a stranger', () => {
    const path = new TestPath(strict())
    path.accepted(2, FRIEND, START)
    path.known.set(parsePrefix(FRIEND.from), 0, Known.trusted, START + 10_000, START)
    expect(path.send(FRIEND, START)).toBe('accept known-good')
    expect(path.send(FRIEND, START + 10_000)).toBe('drop source-limit')
  })

  test('is not struck: SYNs in its name may be forged, and its sessions would prove them', () => {
    const path = pathKnowing(FRIEND.from, { ban: { strikes: 1, withinMs: 60_000 } })
    path.accepted(1000, FRIEND, START)
    expect(path.promotions.drain()).toEqual([])
    expect(path.pipeline.counters.strikes[0]).toBe(0)
  })

  test('in whose name a flood fills the queue is held like others', () => {
    const path = pathKnowing(FRIEND.from)
    const fill = () => path.pipeline.holds.beginBatch(64, true, path.pipeline.policy, START)
    for (let i = 0; i < 1000; i++) fill()
    path.accepted(1000, FRIEND, START)
    expect(path.holds.drain().map(({ source }) => formatPrefix(source))).toEqual([FRIEND.from])
  })

  test('counts for one service only, and not where that has no limit for it', () => {
    const smtp = service('smtp', 25, { limits: { ...limits, known: undefined } })
    const path = new TestPath(policy([service('ssh', 22, { limits }), smtp]))
    for (const name of ['ssh', 'smtp'])
      path.known.set(parsePrefix(FRIEND.from), path.slots.slotOf(name), Known.trusted, UNTIL, START)
    path.known.delete(parsePrefix(FRIEND.from), path.slots.slotOf('ssh'))
    expect(path.accepted(20, FRIEND, START)).toBe(2)
    expect(path.accepted(20, { ...FRIEND, port: 25 }, START)).toBe(2)
  })

  test('spares its neighbours the total, and nothing else', () => {
    const path = pathKnowing('198.51.100.0/24')
    for (let i = 0; i < 100; i++) path.send({ from: `203.0.${i}.1`, port: 22 }, START)
    expect(path.send({ from: '192.0.2.1', port: 22 }, START)).toBe('drop total-limit')
    expect(path.accepted(2, FRIEND, START)).toBe(2)
    expect(path.send(FRIEND, START)).toBe('drop source-limit')
    expect(path.send(STRANGER, START)).toBe('accept within-limit')
    expect(path.send(STRANGER, START)).toBe('drop network-limit')
  })
})

describe('what needs no judging', () => {
  test.each([
    ['a port of no service', { port: 8080 }, 'accept no-service'],
    ['a SYN-ACK', { port: 22, tcpFlags: 0x12 }, 'accept not-new'],
    ['an ACK', { port: 22, tcpFlags: 0x10 }, 'accept not-new'],
    ['a SYN that sets up ECN is judged', { port: 22, tcpFlags: 0xc2 }, 'drop source-limit'],
  ])('%s', (_, fields, expected) => {
    const path = new TestPath(policy([ssh({ source: perMinute(1, 1) })]))
    path.send({ from: '198.51.100.1', port: 22 }, START)
    expect(path.send({ from: '198.51.100.1', ...fields }, START)).toBe(expected)
  })

  test('a malformed packet is dropped and counted under no service', () => {
    const path = new TestPath(policy([ssh({})]))
    expect(path.pipeline.judge(new Uint8Array(7), 0, 7, START)).toBe(Verdict.drop)
    expect(path.pipeline.counters.decisions[decisionIndex(NO_SERVICE, Verdict.drop, Reason.malformed)]).toBe(
      1,
    )
  })
})

describe('shadow', () => {
  test('decides and counts like enforce, and lets pass', () => {
    const path = new TestPath(
      policy([ssh({ source: perMinute(1, 1) }, { mode: 'shadow' }), service('smtp', 25)]),
    )
    path.send({ from: '198.51.100.1', port: 22 }, START)
    expect(path.send({ from: '198.51.100.1', port: 22 }, START)).toBe('shadow source-limit')
    const index = decisionIndex(path.slots.slotOf('ssh'), Verdict.shadow, Reason.sourceLimit)
    expect(path.pipeline.counters.decisions[index]).toBe(1)
  })

  test('of the whole policy covers malformed packets too', () => {
    const path = new TestPath(policy([ssh({})], { mode: 'shadow' }))
    expect(path.pipeline.judge(new Uint8Array(7), 0, 7, START)).toBe(Verdict.shadow)
  })
})

describe('strikes', () => {
  const strict = () => policy([ssh({ source: perMinute(1, 1) }, { ban: { strikes: 3, withinMs: 60_000 } })])

  test('enough refusals make an offender', () => {
    const path = new TestPath(strict())
    path.accepted(3, { from: '198.51.100.1', port: 22 }, START)
    expect(path.pipeline.takePromoted()).toBe(0)
    path.send({ from: '198.51.100.1', port: 22 }, START + 5)
    expect(path.pipeline.takePromoted()).toBe(1)
    const [promotion] = path.promotions.drain()
    expect(promotion).toMatchObject({ serviceSlot: path.slots.slotOf('ssh'), detail: 3, atMs: START + 5 })
    expect(formatPrefix(promotion!.source)).toBe('198.51.100.1')
  })

  test('an IPv6 offender is its /64', () => {
    const path = new TestPath(strict())
    for (let i = 0; i < 4; i++) path.send({ from: `2001:db8:1:2::${i}`, port: 22 }, START)
    expect(path.promotions.drain().map((each) => formatPrefix(each.source))).toEqual(['2001:db8:1:2::/64'])
  })

  test('are forgotten when the window has passed since the first', () => {
    const path = new TestPath(strict())
    path.accepted(3, { from: '198.51.100.1', port: 22 }, START)
    path.accepted(3, { from: '198.51.100.1', port: 22 }, START + 61_000)
    expect(path.promotions.drain()).toEqual([])
  })

  test('a retransmitted SYN is held back and is no second strike', () => {
    const path = new TestPath(strict())
    const syn = { from: '198.51.100.1', port: 22, sourcePort: 5555, sequence: 77 }
    path.send({ from: '198.51.100.1', port: 22 }, START)
    expect(path.send(syn, START)).toBe('drop source-limit')
    for (const afterMs of [1000, 3000, 7000, 15_000, 31_000]) {
      expect(path.send(syn, START + afterMs)).toBe('drop retransmission')
    }
    expect(path.send(syn, START + 63_000)).toBe('accept within-limit')
    expect(path.pipeline.counters.strikes[path.slots.slotOf('ssh')]).toBe(1)
  })

  test('sixteen parallel connections that retransmit strike once each', () => {
    const path = new TestPath(strict())
    path.send({ from: '198.51.100.1', port: 22 }, START)
    for (const round of [0, 1000, 3000]) {
      for (let i = 0; i < 16; i++) {
        path.send({ from: '198.51.100.1', port: 22, sourcePort: 5000 + i, sequence: i }, START + round)
      }
    }
    expect(path.pipeline.counters.strikes[path.slots.slotOf('ssh')]).toBe(16)
  })

  test.each([
    ['the network limit', { source: perMinute(9, 1), network: perMinute(1, 1) }],
    ['the total', { source: perMinute(9, 1), total: perMinute(1, 1) }],
  ])('a refusal by %s is none', (_, limits) => {
    const path = new TestPath(policy([ssh(limits, { ban: { strikes: 1, withinMs: 60_000 } })]))
    expect(path.accepted(8, { from: '198.51.100.1', port: 22 }, START)).toBe(1)
    expect(path.promotions.drain()).toEqual([])
  })

  test('UDP never strikes, since its address may be forged', () => {
    const dns = service('dns', 53, {
      ports: [
        { protocol: 'udp', first: 53, last: 53 },
        { protocol: 'tcp', first: 53, last: 53 },
      ],
      limits: { ...noLimits, source: perMinute(1, 1) },
      ban: { strikes: 1, withinMs: 60_000 },
    })
    const path = new TestPath(policy([dns]))
    path.accepted(100, { from: '198.51.100.1', port: 53, protocol: 'udp' }, START)
    expect(path.promotions.drain()).toEqual([])
  })

  test('a full ring loses promotions, counted, and the source stays limited', () => {
    const path = new TestPath(
      policy([ssh({ source: perMinute(1, 1) }, { ban: { strikes: 1, withinMs: 60_000 } })]),
    )
    path.accepted(5001, { from: '198.51.100.1', port: 22 }, START)
    expect(path.pipeline.counters.promotionsLost[0]).toBe(5000 - 4096)
    expect(path.promotions.drain()).toHaveLength(4096)
    path.send({ from: '198.51.100.1', port: 22 }, START)
    expect(path.promotions.drain()).toHaveLength(1)
  })
})

describe('a new policy', () => {
  test('keeps the buckets of the services that stay', () => {
    const strict = ssh({ source: perMinute(2, 1) })
    const path = new TestPath(policy([strict]))
    path.accepted(2, { from: '198.51.100.1', port: 22 }, START)
    path.swap(policy([service('smtp', 25), strict]))
    expect(path.send({ from: '198.51.100.1', port: 22 }, START)).toBe('drop source-limit')
  })

  test('a tighter limit does not lock a source out for longer than its own burst takes', () => {
    const path = new TestPath(policy([ssh({ source: { burst: 100, ratePerSecond: 1 / 3600 } })]))
    path.accepted(100, { from: '198.51.100.1', port: 22 }, START)
    path.swap(policy([ssh({ source: perMinute(1, 60) })]))
    expect(path.send({ from: '198.51.100.1', port: 22 }, START)).toBe('drop source-limit')
    expect(path.send({ from: '198.51.100.1', port: 22 }, START + 1001)).toBe('accept within-limit')
  })

  test('divides the total among the path threads', () => {
    const path = new TestPath(policy([ssh({ total: perMinute(40, 60) })], { threads: 4 }))
    expect(path.accepted(50, { from: '198.51.100.1', port: 22 }, START)).toBe(10)
  })
})

describe('reading ahead', () => {
  const dns = service('dns', 53, { dns: true, ports: [{ protocol: 'udp', first: 53, last: 53 }] })

  test('decides, counts and changes nothing, whatever the packet is', () => {
    const path = new TestPath(policy([ssh({ source: perMinute(2, 1) }), dns]))
    const from = '198.51.100.1'
    path.send({ from, port: 22 }, START)
    const state = () =>
      [path.shared.sources, path.shared.networks, path.shared.counters, path.shared.dns.walkers].map(
        (memory) => Buffer.from(new Uint8Array(memory)).toString('base64'),
      )
    const before = state()
    const payload = ptrQuery(reverseOf(0xc6336401))
    const whole = [packet({ from, port: 22 }), packet({ from, port: 53, protocol: 'udp', payload })]
    for (const bytes of whole) {
      for (let length = 0; length <= bytes.length; length++) path.pipeline.expect(bytes, 0, length)
    }
    path.pipeline.fetch()
    expect(state()).toEqual(before)
    expect(path.accepted(9, { from, port: 22 }, START)).toBe(1)
  })

  test('is for many sources and for SYNs that are refused', () => {
    const path = new TestPath(policy([ssh({ source: perMinute(2, 1) })], { sources: 20_000 }))
    const readsAheadAfter = (sources: number) => {
      for (let i = 0; i < sources; i++)
        path.send({ from: `10.${i >> 14}.${(i >> 7) & 127}.${i & 127}`, port: 22 }, START)
      return path.pipeline.readsAhead
    }
    expect(readsAheadAfter(8000)).toBe(false)
    expect(readsAheadAfter(9000)).toBe(true)

    const few = new TestPath(policy([ssh({ source: perMinute(2, 1) })]))
    for (const expected of [false, false, true]) {
      few.send({ from: '203.0.113.1', port: 22 }, START)
      expect(few.pipeline.readsAhead).toBe(expected)
    }
  })
})
