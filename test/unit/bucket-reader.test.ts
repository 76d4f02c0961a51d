import { describe, expect, test } from 'vitest'
import { parsePrefix, widen } from '../../src/net/prefix.ts'
import { BucketReader } from '../../src/path/bucket-reader.ts'
import { compilePolicy } from '../../src/path/compile.ts'
import { Known } from '../../src/path/known-good.ts'
import { TestPath } from '../lib/path.ts'
import { policy, service } from '../lib/policies.ts'

const START = 1_000_000
const LIMITS = {
  source: { burst: 3, ratePerSecond: 1 / 60 },
  network: { burst: 10, ratePerSecond: 0.1 },
  total: { burst: 100, ratePerSecond: 10 },
}

const RUNNING = policy([
  service('web', 80),
  service('ssh', 22, { limits: LIMITS, ban: { strikes: 5, withinMs: 60_000 } }),
])

describe.each(['198.51.100.7', '2001:db8:7:1::7'])('what the path knows of %s', (from) => {
  const source = widen(parsePrefix(from), from.includes(':') ? 64 : 32)

  function setUp() {
    const path = new TestPath(RUNNING)
    const compiled = compilePolicy(RUNNING, path.slots)
    const reader = new BucketReader(path.shared)
    const slot = path.slots.slotOf('ssh')
    return { path, read: (nowMs: number) => reader.read(source, slot, compiled, nowMs), reader, slot }
  }

  test('a stranger has full buckets and no strikes', () => {
    const { read } = setUp()
    expect(read(START)).toEqual({
      buckets: Object.entries(LIMITS).map(([kind, { burst, ratePerSecond }]) => ({
        kind,
        burst,
        ratePerSecond: expect.closeTo(ratePerSecond),
        tokens: burst,
        nextTokenMs: 0,
        waitMs: 0,
        fullMs: 0,
      })),
      strikes: 0,
      strikesLeftMs: 0,
    })
  })

  test('a source known good has one bucket, and a look at it is true', () => {
    const { path } = setUp()
    const known = { burst: 10, ratePerSecond: 1 }
    const generous = policy([service('ssh', 22, { limits: { ...LIMITS, known } })])
    path.swap(generous)
    path.known.set(source, path.slots.slotOf('ssh'), Known.trusted, START + 60_000, START)
    path.accepted(4, { from, port: 22 }, START)
    const reader = new BucketReader(path.shared)
    const compiled = compilePolicy(generous, path.slots)
    expect(reader.read(source, path.slots.slotOf('ssh'), compiled, START).buckets).toMatchObject([
      { kind: 'known', burst: 10, tokens: 6, fullMs: 4000 },
    ])
  })

  test('each attempt takes a token of all three, and they grow back', () => {
    const { path, read } = setUp()
    path.accepted(2, { from, port: 22 }, START)
    const [own, network, total] = read(START).buckets
    expect(own).toMatchObject({ tokens: 1, nextTokenMs: 60_000, waitMs: 0, fullMs: 120_000 })
    expect(network).toMatchObject({ tokens: 8, fullMs: 20_000 })
    expect(total).toMatchObject({ tokens: 98, fullMs: 200 })
    expect(read(START + 90_000).buckets[0]).toMatchObject({
      tokens: 2.5,
      nextTokenMs: 30_000,
      fullMs: 30_000,
    })
  })

  test('the wait that it names is the wait until an attempt passes', () => {
    const { path, read } = setUp()
    path.accepted(5, { from, port: 22 }, START)
    const { waitMs } = read(START + 1000).buckets[0]!
    expect(waitMs).toBe(59_000)
    expect(path.send({ from, port: 22 }, START + 1000 + waitMs - 1)).toBe('drop source-limit')
    expect(path.send({ from, port: 22 }, START + 1000 + waitMs)).toBe('accept within-limit')
  })

  test('strikes count until their window is over', () => {
    const { path, read } = setUp()
    path.accepted(5, { from, port: 22 }, START)
    expect(read(START + 10_000)).toMatchObject({ strikes: 2, strikesLeftMs: 50_000 })
    expect(read(START + 60_000)).toMatchObject({ strikes: 0, strikesLeftMs: 0 })
  })

  test('clearing gives a full bucket back and takes the strikes away, of that source alone', () => {
    const { path, read, reader, slot } = setUp()
    const neighbour = from.includes(':') ? '2001:db8:7:2::1' : '198.51.100.8'
    path.accepted(7, { from, port: 22 }, START)
    path.accepted(4, { from: neighbour, port: 22 }, START)
    reader.clear(source, slot)
    expect(read(START)).toMatchObject({ strikes: 0, buckets: [{ tokens: 3 }, { tokens: 4 }, {}] })
    expect(path.accepted(4, { from, port: 22 }, START)).toBe(3)
    expect(path.send({ from: neighbour, port: 22 }, START)).toBe('drop source-limit')
  })

  test('a service without limits has no buckets', () => {
    const { path, reader } = setUp()
    const compiled = compilePolicy(RUNNING, path.slots)
    expect(reader.read(source, path.slots.slotOf('web'), compiled, START).buckets).toEqual([])
  })
})
