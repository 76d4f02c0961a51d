import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BucketIndex } from '../../src/replay/bucket-index.ts'

const MOST = 8
const TAG = 0x100

/** What the index must do, written with a Map in which the key seen last comes last. */
class Model {
  readonly kept: number[] = []
  readonly ordinary = new Map<number, true>()
  forgotten = 0

  see(key: number): void {
    if (this.kept.includes(key)) return
    if (!this.ordinary.delete(key) && this.ordinary.size === MOST) {
      this.ordinary.delete(this.ordinary.keys().next().value!)
      this.forgotten++
    }
    this.ordinary.set(key, true)
  }

  keep(key: number): void {
    if (this.kept.length < MOST && this.ordinary.delete(key)) this.kept.push(key)
  }
}

test('the kept stay in their order, and of the others whoever was not seen for longest gives way', () => {
  const steps = fc.array(fc.record({ key: fc.nat(40), isKept: fc.boolean() }), { maxLength: 500 })
  fc.assert(
    fc.property(steps, (all) => {
      const [index, model] = [new BucketIndex(MOST), new Model()]
      for (const { key, isKept } of all) {
        const found = index.find(-key, key << 8, TAG)
        const row = found < 0 ? index.insert(-key, key << 8, TAG) : found
        model.see(key)
        if (isKept && key % 5 === 0) {
          index.keep(row)
          model.keep(key)
        }
      }
      expect([...index].map((row) => index.keyOf(row).low >> 8)).toEqual([
        ...model.kept,
        ...[...model.ordinary.keys()].reverse(),
      ])
      expect(index.forgotten).toBe(model.forgotten)
    }),
  )
})

test('keys that differ in one number only are told apart', () => {
  const index = new BucketIndex(MOST)
  const keys: readonly (readonly [number, number, number])[] = [
    [1, 2, 3],
    [2, 2, 3],
    [1, 1, 3],
    [1, 2, 4],
  ]
  const rows = keys.map((key) => index.insert(...key))
  expect(keys.map((key) => index.find(...key))).toEqual(rows)
  expect(new Set(rows).size).toBe(4)
  expect(index.find(3, 2, 1)).toBe(-1)
})
