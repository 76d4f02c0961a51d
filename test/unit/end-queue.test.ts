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
