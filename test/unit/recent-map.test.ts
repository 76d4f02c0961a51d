import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RecentMap } from '../../src/control/recent-map.ts'

const MOST = 5

test('the entry not used for longest makes room, and is told of; what is deleted is not', () => {
  const steps = fc.array(
    fc.record({ what: fc.constantFrom('set', 'get', 'peek', 'delete'), key: fc.nat(12) }),
  )
  fc.assert(
    fc.property(steps, (all) => {
      const told: number[] = []
      const map = new RecentMap<number, string>(MOST, (key, value) => {
        expect(value).toBe(`${key}`)
        told.push(key)
      })
      // The one used last comes first.
      let model: number[] = []
      const forgotten: number[] = []
      for (const { what, key } of all) {
        const isThere = model.includes(key)
        if (what === 'set') map.set(key, `${key}`)
        else if (what === 'get') expect(map.get(key)).toBe(isThere ? `${key}` : undefined)
        else if (what === 'peek') expect(map.peek(key)).toBe(isThere ? `${key}` : undefined)
        else expect(map.delete(key)).toBe(isThere)
        if (what === 'delete') model = model.filter((each) => each !== key)
        else if (what === 'set' || (what === 'get' && isThere)) {
          model = [key, ...model.filter((each) => each !== key)]
          forgotten.push(...model.splice(MOST))
        }
      }
      expect(map.keys()).toEqual(model)
      expect(map.values()).toEqual(model.map(String))
      expect(map.size).toBe(model.length)
      expect(told).toEqual(forgotten)
    }),
  )
})

test('a flood of new keys costs no more for each than the first ones did', () => {
  const map = new RecentMap<number, number>(65_536)
  // With a search for the oldest through the places of those deleted before, this takes minutes.
  for (let key = 0; key < 1_000_000; key++) map.set(key, key)
  expect(map.size).toBe(65_536)
  expect(map.peek(1_000_000 - 65_536)).toBeDefined()
})
