import { expect, test } from 'vitest'
import { FirstSights } from '../../src/replay/first-sights.ts'

const key = (low: number, tag = 0x100) => ({ high: 0, low, tag })
const sight = (elapsedMs: number) =>
  ({ reason: 'within-limit', timeMs: 1e12 + elapsedMs, elapsedMs }) as const

test('a first sight is given back once, as it was', () => {
  const firsts = new FirstSights(100)
  firsts.add(key(7), sight(1))
  firsts.add(key(7, 0x102), { ...sight(2), reason: 'total-limit' })
  expect(firsts.take(key(8))).toBeUndefined()
  expect(firsts.take(key(7))).toEqual(sight(1))
  expect(firsts.take(key(7))).toBeUndefined()
  expect([...firsts]).toEqual([[key(7, 0x102), { ...sight(2), reason: 'total-limit' }]])
})

test('a key that was taken can be noted anew, and nothing counts as forgotten', () => {
  const firsts = new FirstSights(100)
  for (let i = 0; i < 1000; i++) {
    firsts.add(key(7), sight(i))
    expect(firsts.take(key(7))).toEqual(sight(i))
  }
  expect(firsts.forgotten).toBe(0)
})

test('all that fit are there, and of more each is there or counted as forgotten', () => {
  const firsts = new FirstSights(1000)
  for (let i = 0; i < 500; i++) firsts.add(key(i), sight(i))
  expect([...firsts]).toHaveLength(500)
  expect(firsts.forgotten).toBe(0)
  for (let i = 500; i < 50_000; i++) firsts.add(key(i), sight(i))
  expect([...firsts].length + firsts.forgotten).toBe(50_000)
  expect([...firsts].length).toBeGreaterThanOrEqual(1000)
  // The oldest go first.
  expect(firsts.take(key(49_999))).toEqual(sight(49_999))
  expect(firsts.take(key(0))).toBeUndefined()
})
