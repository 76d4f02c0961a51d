import { expect, test } from 'vitest'
import type { BanSets } from '../../src/control/bans/ban-sets.ts'
import { carryOutHolds } from '../../src/control/bans/carry-out-holds.ts'
import { Holds } from '../../src/control/bans/holds.ts'
import { Thinning } from '../../src/control/dns/thinning.ts'
import { NetlinkError } from '../../src/kernel/netlink-error.ts'
import { formatPrefix, parsePrefix } from '../../src/net/prefix.ts'
import { DnsSet } from '../../src/path/compile.ts'
import { ServiceSlots } from '../../src/path/service-slots.ts'
import { policy, service } from '../lib/policies.ts'
import { TestLog } from '../lib/test-log.ts'

function setUp() {
  const clock = { nowMs: 100_000 }
  const calls: string[] = []
  const refusal: { error: NetlinkError | undefined } = { error: undefined }
  const sets: Pick<BanSets, 'add'> = {
    add: (set, entries) => {
      if (refusal.error !== undefined) throw refusal.error
      const added = entries.map((each) => `${formatPrefix(each.prefix)} ${each.timeoutSeconds}`)
      calls.push(`${set}: ${added.join(', ')}`)
      return []
    },
  }
  const { log, lines } = new TestLog()
  const thinning = new Thinning({ sets, log, now: () => clock.nowMs })
  return { clock, calls, refusal, lines, log, sets, thinning }
}

const RESIDENTS = ['203.0.113.1', '203.0.113.2'].map(parsePrefix)
const EVERYBODY = 'sluice-flood-4: 0.0.0.0/1 1, 128.0.0.0/1 1'
const SPARED = 'sluice-spared-4: 203.0.113.1 60, 203.0.113.2 60'

test('who was here before is spared first; then everybody is thinned out for a second', () => {
  const { thinning, calls, lines, clock } = setUp()
  thinning.thin(4, 'enforce', () => RESIDENTS)
  expect(calls).toEqual([SPARED, EVERYBODY])
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(/^warn flood-thinned: .* drops 7 of 8 that come over IPv4 from strangers$/)
  expect([thinning.isOn(4), thinning.isOn(6)]).toEqual([true, false])
  clock.nowMs += 1000
  expect(thinning.isOn(4)).toBe(false)
})

test('while it is renewed nothing is said, and those who were here are spared anew each half minute', () => {
  const { thinning, calls, lines, clock } = setUp()
  for (let i = 0; i < 120; i++) {
    thinning.thin(4, 'enforce', () => RESIDENTS)
    clock.nowMs += 500
  }
  expect(lines).toHaveLength(1)
  expect(calls.filter((call) => call === SPARED)).toHaveLength(2)
  expect(calls.filter((call) => call === EVERYBODY)).toHaveLength(120)
})

test('over IPv6 it is the halves of that', () => {
  const { thinning, calls } = setUp()
  thinning.thin(6, 'enforce', () => [])
  expect(calls.at(-1)).toBe('sluice-flood-6: ::/1 1, 8000::/1 1')
})

test('no more are spared than the set takes', () => {
  const { thinning, calls } = setUp()
  function* endless() {
    for (;;) yield parsePrefix('203.0.113.1')
  }
  thinning.thin(4, 'enforce', endless)
  expect(calls[0]!.split(', ')).toHaveLength(65_536)
})

test('in shadow mode it is only said', () => {
  const { thinning, calls, lines } = setUp()
  thinning.thin(4, 'shadow', () => RESIDENTS)
  expect(calls).toEqual([])
  expect(lines[0]).toContain('would drop')
})

test('a kernel that refuses is counted, and it is not on', () => {
  const { thinning, refusal, lines } = setUp()
  refusal.error = new NetlinkError('change set sluice-flood-4', 'set does not exist')
  thinning.thin(4, 'enforce', () => RESIDENTS)
  expect(thinning.isOn(4)).toBe(false)
  expect(thinning.failures).toBe(4)
  expect(lines.filter((line) => line.startsWith('error thinning-failed'))).toHaveLength(2)
})

test.each([
  ['enforce', ['sluice-spared-4: 203.0.113.9 60', SPARED, EVERYBODY]],
  ['shadow', ['sluice-spared-4: 203.0.113.9 60']],
] as const)('what the path hands over, with a DNS service in mode %s', (mode, expected) => {
  const { thinning, calls, log, sets, clock } = setUp()
  const running = policy([service('ssh', 22), service('dns', 53, { dns: true, mode })])
  const slots = new ServiceSlots()
  slots.update(running.services.map(({ name }) => name))
  const of = (source: string, detail: number) => ({
    source: parsePrefix(source),
    serviceSlot: DnsSet.reverse,
    detail,
    atMs: 0,
  })
  carryOutHolds({
    policy: running,
    slots,
    holds: new Holds({ sets, log, now: () => clock.nowMs }),
    thinning,
    threads: {
      drainHolds: () => [of('203.0.113.9', 32), of('198.51.100.1', 0)],
      residents: (slot, family) => (slot === slots.slotOf('dns') && family === 4 ? RESIDENTS : []),
    },
  })
  expect(calls).toEqual(expected)
})
