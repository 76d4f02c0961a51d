import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { parsePrefix } from '../../src/net/prefix.ts'
import { PacketView } from '../../src/path/decode.ts'
import { Known, KnownGood } from '../../src/path/known-good.ts'

const SSH = 0
const SMTP = 63
const UNTIL = 60_000

function viewOf(family: 4 | 6, high: number, low: number): PacketView {
  return Object.assign(new PacketView(), { family, sourceHigh: high | 0, sourceLow: low | 0 })
}

const [V4, V6] = [viewOf(4, 0, 0xc6336407), viewOf(6, 0x20010db8, 0x600d0007)]
const create = () => new KnownGood(KnownGood.create(Uint32Array.of(1, 2)))

describe('KnownGood', () => {
  test.each([
    ['an IPv4 address', '198.51.100.7', V4],
    ['an IPv6 /64', '2001:db8:600d:7::/64', V6],
  ])('knows %s until its end, for its service', (_, text, view) => {
    const known = create()
    expect(known.source(view, SMTP, 0)).toBe(Known.none)
    known.set(parsePrefix(text), SMTP, Known.trusted, UNTIL, 0)
    expect(known.source(view, SMTP, UNTIL - 1)).toBe(Known.trusted)
    expect(known.source(view, SMTP, UNTIL)).toBe(Known.none)
    expect(known.source(view, SSH, 0)).toBe(Known.none)
    expect(known.network(view, view.sourceLow, SMTP, 0)).toBe(Known.none)
  })

  test('tells sources apart by family and by each half', () => {
    const known = create()
    known.set(parsePrefix('0:1:0:2::/64'), SSH, Known.trusted, UNTIL, 0)
    expect(known.source(viewOf(6, 1, 2), SSH, 0)).toBe(Known.trusted)
    for (const other of [viewOf(4, 1, 2), viewOf(6, 1, 3), viewOf(6, 2, 2)]) {
      expect(known.source(other, SSH, 0)).toBe(Known.none)
    }
  })

  test.each([
    ['198.51.100.0/24', V4, 0xc6336400 | 0],
    ['2001:db8:600d::/48', V6, 0x600d0000],
  ])('the network %s is no source', (text, view, low) => {
    const known = create()
    known.set(parsePrefix(text), SSH, Known.trusted, UNTIL, 0)
    expect(known.network(view, low, SSH, 0)).toBe(Known.trusted)
    expect(known.source(view, SSH, 0)).toBe(Known.none)
    expect(known.source({ ...view, sourceLow: low }, SSH, 0)).toBe(Known.none)
  })

  test('an end can be moved, a kind changed, and an entry taken out', () => {
    const known = create()
    const prefix = parsePrefix('198.51.100.7')
    known.set(prefix, SSH, Known.trusted, UNTIL, 0)
    known.set(prefix, SSH, Known.trusted, 2 * UNTIL, 0)
    expect(known.source(V4, SSH, UNTIL)).toBe(Known.trusted)
    known.set(prefix, SSH, Known.resolver, 2 * UNTIL, 0)
    expect(known.source(V4, SSH, UNTIL)).toBe(Known.resolver)
    expect(known.size).toBe(1)
    known.delete(prefix, SSH)
    known.delete(prefix, SSH)
    expect(known.source(V4, SSH, 0)).toBe(Known.none)
    expect(known.size).toBe(0)
  })

  test('another seed puts an entry elsewhere, and readers of the same memory find it', () => {
    const memory = KnownGood.create()
    new KnownGood(memory).set(parsePrefix('198.51.100.7'), SSH, Known.trusted, UNTIL, 0)
    expect(new KnownGood(memory).source(V4, SSH, 0)).toBe(Known.trusted)
  })

  test('is bounded: the entries that end first give way', () => {
    const known = create()
    const count = 100_000
    const prefixOf = (i: number) => parsePrefix(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
    for (let i = 0; i < count; i++) known.set(prefixOf(i), SSH, Known.trusted, UNTIL + i * 1000, 0)
    expect(known.size).toBeLessThanOrEqual(65_536)
    expect(known.size + known.evictions).toBe(count)
    const foundOf = (from: number) => {
      let found = 0
      for (let i = from; i < from + 1000; i++) {
        if (known.source(viewOf(4, 0, 0x0a000000 + i), SSH, 0) !== Known.none) found++
      }
      return found
    }
    expect(foundOf(count - 1000)).toBe(1000)
    expect(foundOf(0)).toBeLessThan(500)
  })

  test('an entry that is over gives way uncounted', () => {
    const known = create()
    for (let i = 0; i < 100_000; i++) {
      known.set(parsePrefix(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`), SSH, Known.trusted, 1000, 2000)
    }
    expect(known.evictions).toBe(0)
  })
})

test('a reader never takes the halves of two entries for one', async () => {
  const memory = KnownGood.create()
  const [known, stop] = [new KnownGood(memory), new Int32Array(new SharedArrayBuffer(4))]
  const worker = new Worker(new URL('../lib/rewrite-known-good.mjs', import.meta.url), {
    workerData: { stop, memory, prefix: parsePrefix('198.51.100.7') },
  })
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  let [right, wrong] = [0, 0]
  // As long as it takes until the threads have met often.
  const deadline = performance.now() + 20_000
  for (let i = 0; i < 1_000_000 || (right < 10_000 && performance.now() < deadline); i++) {
    const kind = known.source(V4, SSH, 30_000)
    if (kind === Known.resolver) right++
    else if (kind !== Known.none) wrong++
  }
  Atomics.store(stop, 0, 1)
  await worker.terminate()
  expect(right).toBeGreaterThan(0)
  expect(wrong).toBe(0)
}, 40_000)
