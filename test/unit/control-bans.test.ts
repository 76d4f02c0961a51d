import { describe, expect, test } from 'vitest'
import type { Ban } from '../../src/control/bans/ban.ts'
import { BanLedger } from '../../src/control/bans/ban-ledger.ts'
import type { BanSets } from '../../src/control/bans/ban-sets.ts'
import { Bans } from '../../src/control/bans/bans.ts'
import { MemoryBanSets } from '../../src/control/bans/memory-ban-sets.ts'
import { NetlinkError } from '../../src/kernel/netlink-error.ts'
import { formatPrefix, type Prefix, parsePrefix } from '../../src/net/prefix.ts'
import { policy } from '../lib/policies.ts'
import { TestLog } from '../lib/test-log.ts'

const MINUTE = 60_000
const SSH_4 = 'sluice-ban-ssh-4'

/** Sets that can be made to fail. */
class FragileSets extends MemoryBanSets {
  /** How many of the next writes fail, and how. */
  failing = { writes: 0, code: 'ENOBUFS' }

  override add(...args: Parameters<BanSets['add']>): ReturnType<BanSets['add']> {
    if (this.failing.writes-- > 0) throw new NetlinkError(`change set ${args[0]}`, this.failing.code)
    return super.add(...args)
  }
}

function setUp(options: { maxEntries?: number; kernelEntries?: number; mode?: 'enforce' | 'shadow' } = {}) {
  const { maxEntries = 100, kernelEntries = maxEntries, mode = 'enforce' } = options
  const clock = { nowMs: 1000 }
  const now = () => clock.nowMs
  const { lines, log } = new TestLog()
  const sets = new FragileSets(kernelEntries, now)
  const banned: string[] = []
  const bans = new Bans({
    mode,
    sets,
    policy: { ...policy([]).ban, firstMs: 10 * MINUTE, jitter: 0, maxEntries },
    log,
    onBanned: (bans) => banned.push(...bans.map(({ prefix }) => formatPrefix(prefix))),
    now,
    random: () => 0,
  })
  const offend = (...sources: string[]) =>
    bans.punish(
      sources.map((each) => ({
        source: parsePrefix(each),
        service: 'ssh',
        reason: '5 strikes',
        proof: 'none' as const,
      })),
    )
  const inSet = (set: string) =>
    sets
      .list(set)
      .map(({ prefix }) => formatPrefix(prefix))
      .sort()
  return { bans, sets, clock, lines, banned, offend, inSet }
}

function sizes(entries: number): Map<string, number> {
  return new Map([[SSH_4, entries]])
}

describe('bans for offences', () => {
  test('a first offence goes into the set of the service, by family, and its connections are deleted', () => {
    const { offend, inSet, banned, lines, sets } = setUp()
    offend('192.0.2.1', '2001:db8::/64')
    expect(inSet(SSH_4)).toEqual(['192.0.2.1'])
    expect(inSet('sluice-ban-ssh-6')).toEqual(['2001:db8::/64'])
    expect(sets.list(SSH_4)[0]?.timeoutSeconds).toBe(600)
    expect(banned).toEqual(['192.0.2.1', '2001:db8::/64'])
    expect(lines).toEqual([
      'info ban: banned 192.0.2.1 from ssh for 10m: offence 1, 5 strikes',
      'info ban: banned 2001:db8::/64 from ssh for 10m: offence 1, 5 strikes',
    ])
  })

  test('a source that is banned already has not offended again', () => {
    const { bans, offend, clock } = setUp()
    offend('192.0.2.1', '192.0.2.1')
    offend('192.0.2.1')
    expect(bans.given).toEqual([{ service: 'ssh', family: 4, count: 1 }])
    clock.nowMs += 10 * MINUTE
    offend('192.0.2.1')
    expect(bans.ledger.list()).toMatchObject([{ offence: 2, scope: 'ssh', endMs: clock.nowMs + 40 * MINUTE }])
  })

  test('the third offence costs all ports, and then nothing more can be added', () => {
    const { bans, offend, clock, inSet } = setUp()
    for (let i = 0; i < 3; i++) {
      offend('192.0.2.1')
      clock.nowMs += 41 * MINUTE
    }
    expect(inSet('sluice-ban-all-4')).toEqual(['192.0.2.1'])
    offend('192.0.2.1')
    expect(bans.given).toEqual([{ service: 'ssh', family: 4, count: 3 }])
  })

  test('services have their own sets, and their offences add up', () => {
    const { bans, offend } = setUp()
    offend('192.0.2.1')
    bans.punish([{ source: parsePrefix('192.0.2.1'), service: 'smtp', reason: 'x', proof: 'none' }])
    expect(bans.ledger.list().map(({ scope, offence }) => [scope, offence])).toEqual([
      ['ssh', 1],
      ['smtp', 2],
    ])
  })

  test('in shadow mode the log says what would be done', () => {
    const { offend, lines } = setUp({ mode: 'shadow' })
    offend('192.0.2.1')
    expect(lines).toEqual(['info would-ban: would ban 192.0.2.1 from ssh for 10m: offence 1, 5 strikes'])
  })

  test('bans end', () => {
    const { bans, offend, clock } = setUp()
    offend('192.0.2.1')
    clock.nowMs += 10 * MINUTE - 1
    expect(bans.ledger.find(parsePrefix('192.0.2.1'), 'ssh')).toBeDefined()
    clock.nowMs += 1
    expect(bans.ledger.find(parsePrefix('192.0.2.1'), 'ssh')).toBeUndefined()
    expect(bans.ledger.list()).toEqual([])
  })

  test('lifting a ban forgives what went before', () => {
    const { bans, offend, inSet } = setUp()
    offend('192.0.2.1')
    bans.lift(bans.ledger.list())
    expect(inSet(SSH_4)).toEqual([])
    offend('192.0.2.1')
    expect(bans.ledger.list()).toMatchObject([{ offence: 1 }])
  })
})

describe('a full set', () => {
  test('gives up the ban that is nearest to its end, and says so', () => {
    const { bans, offend, clock, inSet, lines } = setUp({ maxEntries: 2 })
    offend('192.0.2.1')
    clock.nowMs += MINUTE
    offend('192.0.2.2')
    offend('192.0.2.3')
    expect(inSet(SSH_4)).toEqual(['192.0.2.2', '192.0.2.3'])
    expect(lines).toContain(
      'warn ban-evicted: the ban set of ssh is full: lifted the ban of 192.0.2.1, which had 9m left',
    )
    expect(bans.evictions).toBe(1)
  })

  test('does not give up a long ban for a wave of short ones', () => {
    const { bans, offend, inSet } = setUp({ maxEntries: 2 })
    bans.banManually(parsePrefix('198.51.100.1'), 'ssh', 300 * MINUTE, 'x')
    for (const source of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) offend(source)
    expect(inSet(SSH_4)).toEqual(['192.0.2.3', '198.51.100.1'])
  })

  test('that somebody else has filled gives room as well', () => {
    const { sets, offend, inSet, bans } = setUp({ maxEntries: 100, kernelEntries: 2 })
    offend('192.0.2.1')
    sets.add(SSH_4, [{ prefix: parsePrefix('203.0.113.1'), timeoutSeconds: 0 }])
    offend('192.0.2.2')
    expect(inSet(SSH_4)).toEqual(['192.0.2.2', '203.0.113.1'])
    expect(bans.refusals).toBe(0)
  })

  test('a wave larger than the set leaves exactly as many bans as fit', () => {
    const { bans, offend, inSet } = setUp({ maxEntries: 3 })
    offend(...Array.from({ length: 10 }, (_, i) => `192.0.2.${i}`))
    expect(inSet(SSH_4)).toHaveLength(3)
    expect(bans.ledger.list()).toHaveLength(3)
    expect(bans.evictions).toBe(7)
  })

  test('takes one offender after the other without a search for each', () => {
    const most = 32_768
    let nowMs = 0
    const sets: BanSets = { add: () => [], delete: () => [], list: () => [] }
    const ledger = new BanLedger({ sets, maxEntries: most, now: () => nowMs })
    const ban = (i: number): Ban => ({
      prefix: { family: 4, bytes: Uint8Array.of(10, i >> 16, i >> 8, i), length: 32 },
      ...{ scope: 'ssh', startMs: nowMs, endMs: nowMs + 1_000_000, offence: 1, reason: '' },
      ...{ origin: 'strikes', proof: 'none' },
    })
    const evicted: number[] = []
    // To sort the set for each of these takes minutes.
    for (; nowMs < 2 * most; nowMs++) {
      for (const { startMs } of ledger.add([ban(nowMs)]).evicted) evicted.push(startMs)
    }
    expect(evicted).toEqual(Array.from({ length: most }, (_, i) => i))
    // Nor is there a search when they end one by one while others come.
    let more = 0
    for (nowMs = 1_000_000 + most; nowMs < 1_000_000 + 2 * most; nowMs++) {
      more += ledger.add([ban(nowMs)]).evicted.length
    }
    expect(more).toBe(0)
    expect(ledger.size('ssh', 4)).toBe(most)
  })
})

describe('when the kernel refuses', () => {
  test('a failure that passes is not even seen', () => {
    const { sets, bans, offend, inSet } = setUp()
    sets.failing.writes = 1
    offend('192.0.2.1')
    expect(inSet(SSH_4)).toEqual(['192.0.2.1'])
    expect(bans.refusals).toBe(0)
  })

  test('a failure that stays is told, and the ban is written at the next restore', () => {
    const { sets, bans, offend, inSet, lines } = setUp()
    sets.failing = { writes: 2, code: 'set does not exist' }
    offend('192.0.2.1')
    expect(lines).toContain(
      'error ban-refused: the ban of 192.0.2.1 is not in the kernel: set does not exist; it stays limited, and sluice tries again',
    )
    expect(inSet(SSH_4)).toEqual([])
    expect(bans.restore(sizes(0))).toBe(1)
    expect(inSet(SSH_4)).toEqual(['192.0.2.1'])
  })

  test('a person is told why', () => {
    const { sets, bans } = setUp()
    sets.failing = { writes: 2, code: 'set does not exist' }
    expect(bans.banManually(parsePrefix('192.0.2.1'), 'all', MINUTE, 'x')).toBe('set does not exist')
    expect(bans.banManually(parsePrefix('192.0.2.2'), 'all', MINUTE, 'x')).toBeUndefined()
  })
})

describe('putting back what a set has lost', () => {
  test('a flushed set gets its bans back, with the rest of their time', () => {
    const { bans, sets, offend, clock, inSet } = setUp()
    offend('192.0.2.1', '192.0.2.2')
    sets.delete(SSH_4, ['192.0.2.1', '192.0.2.2'].map(parsePrefix))
    clock.nowMs += MINUTE
    expect(bans.restore(sizes(0))).toBe(2)
    expect(inSet(SSH_4)).toEqual(['192.0.2.1', '192.0.2.2'])
    expect(sets.list(SSH_4)[0]?.timeoutSeconds).toBe(540)
  })

  test.each([
    ['complete', 2, 0],
    ['holding entries of others too', 5, 0],
    ['without one entry', 1, 2],
  ])('a set that is %s', (_, entries, restored) => {
    const { bans, offend } = setUp()
    offend('192.0.2.1', '192.0.2.2')
    expect(bans.restore(sizes(entries))).toBe(restored)
  })

  test('bans about to end are not missed', () => {
    const { bans, offend, clock } = setUp()
    offend('192.0.2.1')
    clock.nowMs += 10 * MINUTE - 1500
    expect(bans.restore(sizes(0))).toBe(0)
  })

  test('a set that is not there is left to the firewall', () => {
    const { bans, offend } = setUp()
    offend('192.0.2.1')
    expect(bans.restore(new Map())).toBe(0)
  })
})

describe('taking over bans of an earlier run', () => {
  test('they keep their time, and count as a first offence', () => {
    const { bans, sets, offend, clock, banned } = setUp()
    sets.add(SSH_4, [{ prefix: parsePrefix('192.0.2.1'), timeoutSeconds: 300 }])
    expect(bans.adopt(['all', 'ssh'], sizes(1))).toMatchObject([
      { scope: 'ssh', origin: 'adopted', endMs: clock.nowMs + 5 * MINUTE },
    ])
    expect(banned).toEqual([])
    clock.nowMs += 5 * MINUTE
    offend('192.0.2.1')
    expect(bans.ledger.list()).toMatchObject([{ offence: 2 }])
  })

  test('an entry without a time has no end here either', () => {
    const { bans, sets, clock } = setUp()
    sets.add(SSH_4, [{ prefix: parsePrefix('192.0.2.1'), timeoutSeconds: 0 }])
    bans.adopt(['ssh'], sizes(1))
    clock.nowMs += 1e12
    expect(bans.ledger.list()).toMatchObject([{ endMs: Number.POSITIVE_INFINITY }])
  })

  test('bans of services that are gone are forgotten', () => {
    const { bans, offend } = setUp()
    offend('192.0.2.1')
    bans.ledger.keepScopes(['all', 'smtp'])
    expect(bans.ledger.list()).toEqual([])
  })
})

test('a ban is found by any address that it covers', () => {
  const { bans } = setUp()
  bans.banManually(parsePrefix('192.0.2.0/24'), 'all', MINUTE, 'x')
  const covering = (text: string): Prefix[] =>
    bans.ledger.covering(parsePrefix(text)).map(({ prefix }) => prefix)
  expect(covering('192.0.2.7').map(formatPrefix)).toEqual(['192.0.2.0/24'])
  expect(covering('192.0.3.7')).toEqual([])
  expect(covering('192.0.0.0/16')).toEqual([])
})
