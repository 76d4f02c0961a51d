import { describe, expect, test } from 'vitest'
import { HeavyHitters } from '../../src/path/heavy-hitters.ts'

const SEED = Uint32Array.of(0x9e3779b9, 1, 2)
const MINUTE = 60_000

function create(): HeavyHitters {
  return new HeavyHitters(new SharedArrayBuffer(HeavyHitters.BYTES), SEED)
}

describe('heavy hitters', () => {
  test('few are counted exactly, the most frequent first', () => {
    const hitters = create()
    for (let i = 0; i < 30; i++) hitters.count(0, i % 3 === 0 ? 7 : 8, 4, 24, i)
    expect(hitters.top(10, 30)).toEqual([
      { high: 0, low: 8, family: 4, detail: 24, count: 20 },
      { high: 0, low: 7, family: 4, detail: 24, count: 10 },
    ])
  })

  test('an address in the upper half of all is one key, in either sign', () => {
    const hitters = create()
    const low = 0xc6120001
    for (let i = 0; i < 3; i++) hitters.count(0, low | 0, 4, 0, i)
    hitters.count(0, low, 4, 0, 3)
    expect(hitters.top(10, 3)).toEqual([{ high: 0, low, family: 4, detail: 0, count: 4 }])
  })

  test('families and details are told apart', () => {
    const hitters = create()
    hitters.count(0, 7, 4, 24, 0)
    hitters.count(0, 7, 6, 24, 0)
    hitters.count(0, 7, 4, 16, 0)
    expect(hitters.top(10, 0)).toHaveLength(3)
  })

  test('who asks often is found among 60,000 forged addresses, and nobody is said to have asked more often than he did', () => {
    const hitters = create()
    for (let i = 0; i < 60_000; i++) {
      hitters.count(0, Math.imul(i, 2_654_435_761) >>> 0, 4, 0, 0)
      if (i % 50 === 0) hitters.count(1, 1, 6, 0, 0)
    }
    const [first, ...others] = hitters.top(20, 0)
    expect(first).toMatchObject({ high: 1, low: 1, family: 6 })
    expect(first!.count).toBeLessThanOrEqual(1200)
    expect(first!.count).toBeGreaterThan(900)
    expect(Math.max(...others.map(({ count }) => count))).toBeLessThanOrEqual(1)
  })

  test('of a million, what comes often is counted to within a few percent, and all together exactly', () => {
    const hitters = create()
    const asked = [0, 0, 0, 0]
    for (let i = 0; i < 1_000_000; i++) {
      // In a fixed order, as a sender could choose it to stay between those that are picked.
      const who = i % 8 === 0 ? 1 : i % 4 === 1 ? 2 : 3
      asked[who]!++
      hitters.count(0, who, 4, 0, 0)
    }
    const found = hitters.top(9, 0)
    expect(found.map(({ low }) => low)).toEqual([3, 2, 1])
    for (const { low, count } of found) expect(Math.abs(count / asked[low]! - 1)).toBeLessThan(0.05)
    const sum = found.reduce((all, { count }) => all + count, 0)
    expect(Math.abs(sum - 1_000_000)).toBeLessThanOrEqual(32)
  })

  test('each ten minutes begin with counts that are exact', () => {
    const hitters = create()
    for (let i = 0; i < 100_000; i++) hitters.count(0, 7, 4, 0, 0)
    for (let i = 0; i < 1000; i++) hitters.count(0, 8, 4, 0, 21 * MINUTE)
    const [later] = hitters.top(9, 21 * MINUTE)
    expect(later).toMatchObject({ low: 8 })
    expect(later!.count).toBeGreaterThan(1000 - 32)
    expect(later!.count).toBeLessThanOrEqual(1000)
  })

  test('what is older than twenty minutes is forgotten', () => {
    const hitters = create()
    hitters.count(0, 1, 4, 0, 0)
    hitters.count(0, 2, 4, 0, 11 * MINUTE)
    expect(
      hitters
        .top(9, 12 * MINUTE)
        .map(({ low }) => low)
        .sort(),
    ).toEqual([1, 2])
    hitters.count(0, 3, 4, 0, 21 * MINUTE)
    expect(
      hitters
        .top(9, 22 * MINUTE)
        .map(({ low }) => low)
        .sort(),
    ).toEqual([2, 3])
    expect(hitters.top(9, 60 * MINUTE)).toEqual([])
    hitters.count(0, 4, 4, 0, 90 * MINUTE)
    expect(hitters.top(9, 90 * MINUTE).map(({ low }) => low)).toEqual([4])
  })
})
