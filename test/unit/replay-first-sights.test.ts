import { expect, test } from 'vitest'
import { FirstSights } from '../../src/replay/first-sights.ts'

const moment = (elapsedMs: number) => ({ timeMs: 1e12 + elapsedMs, elapsedMs })

function add(firsts: FirstSights, low: number, elapsedMs: number, tag = 0x100, reason = 0): void {
  firsts.add(-1, low, tag, reason, moment(elapsedMs))
}

/** When the attempt came, and why it was decided so. */
function take(firsts: FirstSights, low: number): [elapsedMs: number, reason: number] | undefined {
  const slot = firsts.take(-1, low, 0x100)
  if (slot < 0) return undefined
  const { timeMs, elapsedMs } = firsts.momentAt(slot)
  expect(timeMs).toBe(1e12 + elapsedMs)
  return [elapsedMs, firsts.reasons[slot]!]
}

test('a first sight is given back once, as it was', () => {
  const firsts = new FirstSights(100)
  add(firsts, 7, 1, 0x100, 5)
  add(firsts, 7, 2, 0x102, 7)
  expect(take(firsts, 8)).toBeUndefined()
  expect(take(firsts, 7)).toEqual([1, 5])
  expect(take(firsts, 7)).toBeUndefined()
  const left = [...firsts].map((slot) => [firsts.keyOf(slot), firsts.momentAt(slot), firsts.reasons[slot]])
  expect(left).toEqual([[{ high: -1, low: 7, tag: 0x102 }, moment(2), 7]])
})

test('a key that was taken can be noted anew, and nothing counts as forgotten', () => {
  const firsts = new FirstSights(100)
  for (let i = 0; i < 1000; i++) {
    add(firsts, 7, i)
    expect(take(firsts, 7)).toEqual([i, 0])
  }
  expect(firsts.forgotten).toBe(0)
})

test('all that fit are there, and of more each is there or counted as forgotten', () => {
  const firsts = new FirstSights(1000)
  for (let i = 0; i < 500; i++) add(firsts, i, i)
  expect([...firsts]).toHaveLength(500)
  expect(firsts.forgotten).toBe(0)
  for (let i = 500; i < 50_000; i++) add(firsts, i, i)
  expect([...firsts].length + firsts.forgotten).toBe(50_000)
  expect([...firsts].length).toBeGreaterThanOrEqual(1000)
  // The oldest go first.
  expect(take(firsts, 49_999)).toEqual([49_999, 0])
  expect(take(firsts, 0)).toBeUndefined()
})
