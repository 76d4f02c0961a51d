import { describe, expect, test } from 'vitest'
import type { Mode } from '../../src/config/policy.ts'
import type { BanSets } from '../../src/control/bans/ban-sets.ts'
import { carryOutHolds } from '../../src/control/bans/carry-out-holds.ts'
import { Holds } from '../../src/control/bans/holds.ts'
import { MemoryBanSets } from '../../src/control/bans/memory-ban-sets.ts'
import { Thinning } from '../../src/control/dns/thinning.ts'
import { NetlinkError } from '../../src/kernel/netlink-error.ts'
import { formatPrefix, parsePrefix } from '../../src/net/prefix.ts'
import { ServiceSlots } from '../../src/path/service-slots.ts'
import type { HandedOver } from '../../src/path/source-ring.ts'
import { policy, service } from '../lib/policies.ts'
import { TestLog } from '../lib/test-log.ts'

/** Sets of three entries that write down what they are told. */
class Sets extends MemoryBanSets {
  readonly calls: string[] = []
  isGone = false

  override add(...[set, entries]: Parameters<BanSets['add']>): ReturnType<BanSets['add']> {
    if (this.isGone) throw new NetlinkError(`change set ${set}`, 'set does not exist')
    this.calls.push(
      `${set}: ${entries.map((each) => `${formatPrefix(each.prefix)} ${each.timeoutSeconds}`).join(', ')}`,
    )
    return super.add(set, entries)
  }
}

function setUp(maxEntries = 3) {
  const clock = { nowMs: 1000 }
  const now = () => clock.nowMs
  const sets = new Sets(maxEntries, now)
  const { log, lines } = new TestLog()
  const holds = new Holds({ sets, log, now })
  const hold = (...prefixes: string[]) => holds.hold('ssh', 4, 'enforce', prefixes.map(parsePrefix))
  const counts = (mode: Mode = 'enforce') => ({
    active: holds.active('ssh', 4, mode),
    begun: holds.begun('ssh', 4, mode),
    lost: holds.lost,
  })
  return { clock, sets, lines, holds, hold, counts }
}

describe('holds', () => {
  test('go into the set of their service for a second, all in one call', () => {
    const { hold, sets, counts, lines } = setUp()
    hold('203.0.113.1', '198.51.100.0/24')
    expect(sets.calls).toEqual(['sluice-hold-ssh-4: 203.0.113.1 1, 198.51.100.0/24 1'])
    expect(counts()).toEqual({ active: 2, begun: 2, lost: 0 })
    expect(lines).toEqual(['info hold: the queue is filling: holding 203.0.113.1 and 1 other off ssh'])
  })

  test('one that is renewed counts once and says nothing; one that has ended begins anew', () => {
    const { hold, counts, clock, lines } = setUp()
    hold('203.0.113.1')
    for (let i = 0; i < 10; i++) {
      clock.nowMs += 500
      hold('203.0.113.1')
    }
    expect(counts()).toEqual({ active: 1, begun: 1, lost: 0 })
    expect(lines).toHaveLength(1)
    clock.nowMs += 1000
    expect(counts()).toEqual({ active: 0, begun: 1, lost: 0 })
    hold('203.0.113.1')
    expect(counts()).toEqual({ active: 1, begun: 2, lost: 0 })
  })

  test('in shadow mode are counted, and not set', () => {
    const { holds, sets, counts, lines } = setUp()
    holds.hold('ssh', 4, 'shadow', [parsePrefix('203.0.113.1')])
    expect(sets.calls).toEqual([])
    expect(counts('shadow')).toEqual({ active: 1, begun: 1, lost: 0 })
    expect(counts('enforce')).toEqual({ active: 0, begun: 0, lost: 0 })
    expect(lines).toEqual(['info hold: the queue is filling: would hold 203.0.113.1 off ssh'])
  })

  test('that find the set full or gone are lost, and the others are not', () => {
    const { hold, sets, counts, lines } = setUp()
    hold('203.0.113.1', '203.0.113.2', '203.0.113.3', '203.0.113.4')
    expect(counts()).toEqual({ active: 3, begun: 3, lost: 1 })
    sets.isGone = true
    hold('203.0.113.5')
    expect(counts()).toEqual({ active: 3, begun: 3, lost: 2 })
    expect(lines.at(-1)).toMatch(/^error hold-failed: could not hold sources off ssh: .*set does not exist/)
  })

  test('are at most 16,384 in a second', () => {
    const { holds, clock, counts } = setUp(100_000)
    const wave = (n: number) =>
      Array.from({ length: 10_000 }, (_, i) => parsePrefix(`10.${n}.${i >> 8}.${i & 255}`))
    holds.hold('ssh', 4, 'enforce', wave(1))
    holds.hold('ssh', 4, 'enforce', wave(2))
    expect(counts()).toEqual({ active: 16_384, begun: 16_384, lost: 20_000 - 16_384 })
    clock.nowMs += 1000
    holds.hold('ssh', 4, 'enforce', wave(3))
    expect(counts()).toEqual({ active: 10_000, begun: 26_384, lost: 20_000 - 16_384 })
  })
})

describe('what the path hands over', () => {
  const running = policy([service('ssh', 22), service('web', 80, { mode: 'shadow' })])

  function handOver(
    changes: Partial<typeof running>,
    ...given: [source: string, slot: number, length: number][]
  ) {
    const { holds, sets } = setUp()
    const slots = new ServiceSlots()
    slots.update(running.services.map(({ name }) => name))
    const drained: HandedOver[] = given.map(([source, serviceSlot, detail]) => ({
      source: parsePrefix(source),
      serviceSlot,
      detail,
      atMs: 0,
    }))
    carryOutHolds({
      policy: { ...running, ...changes },
      slots,
      holds,
      thinning: new Thinning({ sets, log: new TestLog().log, now: () => 1000 }),
      threads: { drainHolds: () => drained, residents: () => [] },
    })
    return { holds, sets }
  }

  test('is held as it is, or with its network', () => {
    const { sets } = handOver(
      {},
      ['203.0.113.1', 0, 32],
      ['198.51.100.9', 0, 24],
      ['2001:db8:1:2::/64', 0, 48],
    )
    expect(sets.calls).toEqual([
      'sluice-hold-ssh-4: 203.0.113.1 1, 198.51.100.0/24 1',
      'sluice-hold-ssh-6: 2001:db8:1::/48 1',
    ])
  })

  test('is held on paper for a service in shadow mode', () => {
    const { sets, holds } = handOver({}, ['203.0.113.1', 1, 32])
    expect(sets.calls).toEqual([])
    expect(holds.begun('web', 4, 'shadow')).toBe(1)
  })

  test('is forgotten when the policy has no such service, or no holds, any more', () => {
    expect(handOver({ holds: undefined }, ['203.0.113.1', 0, 32]).sets.calls).toEqual([])
    expect(handOver({}, ['203.0.113.1', 2, 32]).sets.calls).toEqual([])
  })
})
