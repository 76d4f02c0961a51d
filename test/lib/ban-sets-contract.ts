import { describe, expect, test } from 'vitest'
import type { BanSets } from '../../src/control/bans/ban-sets.ts'
import { formatPrefix, parsePrefix } from '../../src/net/prefix.ts'

export interface BanSetsUnderTest {
  /** With the sets `sluice-ban-one-4` and `sluice-ban-two-6`, empty, of `CONTRACT_ENTRIES` entries each. */
  readonly sets: BanSets
  /** Lets time go by. */
  readonly pass: (ms: number) => Promise<void>
}

export const CONTRACT_ENTRIES = 3
const SET = 'sluice-ban-one-4'
const SET_6 = 'sluice-ban-two-6'

/** What every place that keeps bans must do alike: called by the test of each. */
export function banSetsContract(create: () => Promise<BanSetsUnderTest>): void {
  const entry = (text: string, timeoutSeconds = 100) => ({ prefix: parsePrefix(text), timeoutSeconds })
  const listed = (sets: BanSets, set = SET) =>
    sets
      .list(set)
      .map(({ prefix }) => formatPrefix(prefix))
      .sort()

  describe('what every place for bans does', () => {
    test('a ban is listed with the rest of its time', async () => {
      const { sets } = await create()
      expect(sets.add(SET, [entry('192.0.2.1', 100)])).toEqual([])
      const [found] = sets.list(SET)
      expect(formatPrefix(found!.prefix)).toBe('192.0.2.1')
      expect(found!.timeoutSeconds).toBeGreaterThan(95)
      expect(found!.timeoutSeconds).toBeLessThanOrEqual(100)
    })

    test('adding a ban again replaces its time', async () => {
      const { sets } = await create()
      sets.add(SET, [entry('192.0.2.1', 100)])
      expect(sets.add(SET, [entry('192.0.2.1', 2000)])).toEqual([])
      expect(listed(sets)).toEqual(['192.0.2.1'])
      expect(sets.list(SET)[0]!.timeoutSeconds).toBeGreaterThan(1900)
    })

    test('a ban without a time stays without one', async () => {
      const { sets } = await create()
      sets.add(SET, [entry('192.0.2.1', 0)])
      expect(sets.list(SET)[0]!.timeoutSeconds).toBe(0)
    })

    test('a ban ends by itself', async () => {
      const { sets, pass } = await create()
      sets.add(SET, [entry('192.0.2.1', 1), entry('192.0.2.2', 100)])
      await pass(2100)
      expect(listed(sets)).toEqual(['192.0.2.2'])
    })

    test('an address and the network around it are two bans', async () => {
      const { sets } = await create()
      sets.add(SET, [entry('192.0.2.1'), entry('192.0.2.0/24')])
      sets.delete(SET, [parsePrefix('192.0.2.0/24')])
      expect(listed(sets)).toEqual(['192.0.2.1'])
    })

    test('IPv6 networks', async () => {
      const { sets } = await create()
      sets.add(SET_6, [entry('2001:db8:1::/64'), entry('2001:db8:2::1')])
      expect(listed(sets, SET_6)).toEqual(['2001:db8:1::/64', '2001:db8:2::1'])
    })

    test('deleting what is not there is told for that entry alone', async () => {
      const { sets } = await create()
      sets.add(SET, [entry('192.0.2.1')])
      const refused = sets.delete(SET, [parsePrefix('192.0.2.9'), parsePrefix('192.0.2.1')])
      expect(refused.map(({ index, code }) => [index, code])).toEqual([[0, 'does not exist']])
      expect(listed(sets)).toEqual([])
    })

    test('a full set refuses what is new, and takes the others', async () => {
      const { sets } = await create()
      sets.add(SET, [entry('192.0.2.1'), entry('192.0.2.2'), entry('192.0.2.3')])
      const refused = sets.add(SET, [entry('192.0.2.4'), entry('192.0.2.1', 500)])
      expect(refused.map(({ index, code }) => [index, code])).toEqual([[0, 'set is full']])
      expect(listed(sets)).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3'])
    })
  })
}
