import { describe, expect, test } from 'vitest'
import type { Policy, Service } from '../../src/config/policy.ts'
import { formatPrefix, widen } from '../../src/net/prefix.ts'
import type { PacketFields } from '../lib/packets.ts'
import { TestPath } from '../lib/path.ts'
import { policy, service } from '../lib/policies.ts'

const START = 1_000_000
const SECOND = 1000
const MANY = { burst: 1_000_000, ratePerSecond: 1_000_000 }
const ONE_A_SECOND = { burst: 1, ratePerSecond: 1 }

const BY_SOURCE = { source: ONE_A_SECOND, network: undefined, total: undefined }
const BY_NETWORK = { source: MANY, network: ONE_A_SECOND, total: undefined }
const BY_TOTAL = { source: undefined, network: undefined, total: ONE_A_SECOND }

/** A path of one service on port 22, TCP and UDP, whose queue can be made to fill. */
class Flooded {
  readonly path: TestPath
  readonly #policy: Policy

  constructor(limits: Service['limits'] = BY_SOURCE, changes: Partial<Policy> = {}) {
    const ports = (['tcp', 'udp'] as const).map((protocol) => ({ protocol, first: 22, last: 22 }))
    this.#policy = policy([service('ssh', 22, { limits, ports })], changes)
    this.path = new TestPath(this.#policy)
  }

  batches(count: number, packets: number, nowMs: number): void {
    const { holds, policy } = this.path.pipeline
    for (let i = 0; i < count; i++) holds.beginBatch(packets, packets === 64, policy, nowMs)
  }

  fill(nowMs = START): void {
    this.batches(Math.ceil(this.#policy.queue.length / 64), 64, nowMs)
  }

  /** Sends from `startMs` on, every `everyMs`; returns whom the path has handed over, and when. */
  send(
    count: number,
    everyMs: number,
    fields: Omit<PacketFields, 'port'> = { from: '198.51.100.7' },
    startMs = START,
  ) {
    for (let i = 0; i < count; i++) this.path.send({ port: 22, ...fields }, startMs + i * everyMs)
    return this.path.holds.drain().map(({ source, detail, atMs }) => ({
      held: formatPrefix(widen(source, detail)),
      afterMs: Math.round(atMs - startMs),
    }))
  }
}

describe('while the queue is filling', () => {
  test.each<[string, PacketFields['from'], 'tcp' | 'udp', Service['limits'], string]>([
    ['a source', '198.51.100.7', 'tcp', BY_SOURCE, '198.51.100.7'],
    ['a source of UDP', '198.51.100.7', 'udp', BY_SOURCE, '198.51.100.7'],
    ['an IPv6 source', '2001:db8:1:2::7', 'tcp', BY_SOURCE, '2001:db8:1:2::/64'],
    ['an IPv6 source of UDP', '2001:db8:1:2::7', 'udp', BY_SOURCE, '2001:db8:1:2::/64'],
    ['a network', '198.51.100.7', 'tcp', BY_NETWORK, '198.51.100.0/24'],
    ['an IPv6 network', '2001:db8:1:2::7', 'udp', BY_NETWORK, '2001:db8:1::/48'],
  ])(
    '%s is handed over that its limit refuses more than 20 times as often',
    (_, from, protocol, limits, held) => {
      const flooded = new Flooded(limits)
      flooded.fill()
      // 100 a second, where 20 are the limit times the factor: in 100 ms these are 8 too many.
      expect(flooded.send(40, 10, { from, protocol })).toEqual([{ held, afterMs: 100 }])
    },
  )

  test('a flood is handed over within its first packets, then every half second', () => {
    const flooded = new Flooded()
    flooded.fill()
    const handedOver = flooded.send(20_000, 0.1)
    expect(handedOver.map(({ afterMs }) => afterMs)).toEqual([1, 501, 1001, 1501])
  })

  test('who is refused less than that is not held, however long', () => {
    const flooded = new Flooded()
    for (let second = 0; second < 60; second++) {
      flooded.fill(START + second * SECOND)
      expect(flooded.send(20, 50, undefined, START + second * SECOND)).toEqual([])
    }
  })

  test('a burst beyond the limit is not enough where the limit is high', () => {
    const limits = { ...BY_SOURCE, source: { burst: 100, ratePerSecond: 100 } }
    const flooded = new Flooded(limits)
    flooded.fill()
    // 2,000 a second are 20 times the limit: a quarter of a second's worth is let go.
    expect(flooded.send(600, 0)).toEqual([])
    expect(flooded.send(2, 0)).toEqual([{ held: '198.51.100.7', afterMs: 0 }])
  })

  test('who is accepted is not held', () => {
    const flooded = new Flooded({ source: MANY, network: MANY, total: MANY })
    flooded.fill()
    expect(flooded.send(10_000, 0.01)).toEqual([])
  })

  test('the total limit holds nobody, since it cannot tell who is guilty', () => {
    const flooded = new Flooded(BY_TOTAL)
    flooded.fill()
    expect(flooded.send(10_000, 0.01)).toEqual([])
  })

  test('a network is not held for one source that its own limit refuses', () => {
    const flooded = new Flooded({ ...BY_SOURCE, network: { burst: 3, ratePerSecond: 3 } })
    flooded.fill()
    expect(flooded.send(1000, 0.1).map(({ held }) => held)).toEqual(['198.51.100.7'])
  })

  test('a network is held when its sources are too many for its limit', () => {
    const flooded = new Flooded({ ...BY_SOURCE, network: { burst: 3, ratePerSecond: 3 } })
    flooded.fill()
    const held = new Set<string>()
    for (let i = 0; i < 2000; i++) {
      const from = `198.51.100.${i % 200}`
      for (const each of flooded.send(1, 0, { from }, START + i / 10)) held.add(each.held)
    }
    expect([...held]).toEqual(['198.51.100.0/24'])
  })

  test('a SYN that is sent again and again counts as well', () => {
    const flooded = new Flooded()
    flooded.fill()
    expect(flooded.send(20, 1, { from: '198.51.100.7', sequence: 7 })).toHaveLength(1)
  })

  test('what cannot be judged holds nobody', () => {
    const { path } = new Flooded()
    for (let i = 0; i < 1000; i++) path.pipeline.judge(new Uint8Array(20), 0, 20, START)
    expect(path.holds.drain()).toEqual([])
  })

  test('in shadow mode they are handed over too, to be counted', () => {
    const flooded = new Flooded(BY_SOURCE, { mode: 'shadow' })
    flooded.fill()
    expect(flooded.send(20, 1)).toHaveLength(1)
  })

  test('with holds off nobody is handed over', () => {
    const flooded = new Flooded(BY_SOURCE, { holds: undefined })
    flooded.fill()
    expect(flooded.send(1000, 0.1)).toEqual([])
  })

  test('what the ring has no room for is counted, and comes again', () => {
    const flooded = new Flooded()
    flooded.fill()
    const sources = Array.from({ length: 5000 }, (_, i) => `10.${i >> 8}.${i & 255}.1`)
    const flood = (startMs: number) => {
      for (const from of sources) {
        for (let i = 0; i < 12; i++) flooded.path.send({ from, port: 22 }, startMs)
      }
      return flooded.path.holds.drain().length
    }
    expect(flood(START)).toBe(4096)
    expect(flooded.path.pipeline.counters.holdsLost[0]).toBe(5000 - 4096)
    expect(flood(START + 600)).toBe(4096)
  })
})

describe('the queue is filling', () => {
  test.each([
    ['not by itself', 0, 64, false],
    ['after as many full batches as a quarter of it holds, and one', 257, 64, true],
    ['not one batch before', 256, 64, false],
    ['not by batches that are not full', 10_000, 63, false],
  ])('%s', (_, batches, packets, isFilling) => {
    const flooded = new Flooded(BY_SOURCE, {
      queue: { ...policy([]).queue, length: 65_536 },
    })
    flooded.batches(batches, packets, START)
    expect(flooded.send(20, 1)).toHaveLength(isFilling ? 1 : 0)
  })

  test('a batch that is not full begins the count anew', () => {
    const flooded = new Flooded()
    for (let i = 0; i < 100; i++) {
      flooded.batches(200, 64, START)
      flooded.batches(1, 63, START)
    }
    expect(flooded.send(20, 1)).toEqual([])
  })

  test('for two seconds after the last full batch', () => {
    const flooded = new Flooded()
    flooded.fill()
    expect(flooded.send(20, 1, undefined, START + 1999 - 20)).toHaveLength(1)
    const later = new Flooded()
    later.fill()
    expect(later.send(20, 1, undefined, START + 2000)).toEqual([])
  })

  test('as long as the sample of a held flood shows that it goes on, and no longer', () => {
    const flooded = new Flooded()
    flooded.fill()
    // 1 in 64 of 10,000 a second.
    const handedOver = flooded.send(1000, 6.4)
    expect(handedOver.at(-1)!.afterMs).toBeGreaterThan(5900)
    expect(flooded.send(1000, 6.4, undefined, START + 6400 + 2000)).toEqual([])
  })
})
