import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EndQueue } from '../../src/control/end-queue.ts'

test('what ends next comes first, whatever came and went before', () => {
  const times = fc.array(fc.oneof(fc.nat(20), fc.constant(Number.POSITIVE_INFINITY), fc.constant(undefined)))
  fc.assert(
    fc.property(fc.array(fc.nat(20)), times, (begin, steps) => {
      const queue = new EndQueue<{ endMs: number }>()
      queue.reset(begin.map((endMs) => ({ endMs })))
      const model = [...begin]
      for (const endMs of steps) {
        if (endMs !== undefined) {
          queue.push({ endMs })
          model.push(endMs)
        }
        model.sort((a, b) => a - b)
        expect(queue.first?.endMs).toBe(model[0])
        expect(queue.size).toBe(model.length)
        if (endMs === undefined) expect(queue.pop()?.endMs).toBe(model.shift())
      }
    }),
  )
})

test('those that have ended come one after the other, and the others stay', () => {
  const queue = new EndQueue<{ endMs: number }>()
  queue.reset([3, 1, 2, 5].map((endMs) => ({ endMs })))
  expect([...queue.ended(2)].map(({ endMs }) => endMs)).toEqual([1, 2])
  expect(queue.size).toBe(2)
  expect(queue.first?.endMs).toBe(3)
})

test('when far more are gone than living, it begins anew with the living', () => {
  const queue = new EndQueue<{ endMs: number }>()
  const living = new Map<string, { endMs: number }>()
  for (let endMs = 1; endMs <= 5000; endMs++) {
    const item = { endMs }
    living.set('the only one', item)
    queue.add(item, living)
    expect(queue.size).toBeLessThanOrEqual(2 + 1024)
  }
  while (queue.size > 1) queue.pop()
  expect(queue.first?.endMs).toBe(5000)
})
