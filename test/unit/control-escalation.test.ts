import { describe, expect, test } from 'vitest'
import { LONGEST_BAN_SECONDS, sentence } from '../../src/control/bans/escalation.ts'
import { Offenders } from '../../src/control/bans/offenders.ts'
import { roughDuration } from '../../src/control/rough-duration.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { policy } from '../lib/policies.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const BAN = { ...policy([]).ban, firstMs: 10 * MINUTE, factor: 4, longestMs: 21 * DAY, jitter: 0.1 }

describe('the length of a ban', () => {
  test.each([
    [1, 0, 10 * MINUTE],
    [2, 0, 40 * MINUTE],
    [3, 0, 160 * MINUTE],
    [6, 0, 10_240 * MINUTE],
    [7, 0, 21 * DAY],
    [5000, 0, 21 * DAY],
    [1, 1, 11 * MINUTE],
    [2, 0.5, 42 * MINUTE],
  ])('offence %i with random %d: %i ms', (offence, random, durationMs) => {
    expect(sentence(BAN, offence, 'ssh', () => random).durationMs).toBeCloseTo(durationMs, 3)
  })

  test('is never longer than the kernel can count', () => {
    const endless = { ...BAN, longestMs: 365 * DAY, jitter: 1 }
    expect(sentence(endless, 50, 'ssh', () => 1).durationMs).toBe(LONGEST_BAN_SECONDS * 1000)
  })

  test('covers the ports of the service, and all from the third offence on', () => {
    const scopes = [1, 2, 3, 4].map((offence) => sentence(BAN, offence, 'ssh', () => 0).scope)
    expect(scopes).toEqual(['ssh', 'ssh', 'all', 'all'])
  })
})

describe('the memory of offences', () => {
  function setUp(max = 10) {
    const clock = { nowMs: 1 }
    return { clock, offenders: new Offenders({ max, memoryMs: 30 * DAY, now: () => clock.nowMs }) }
  }
  const source = parsePrefix('192.0.2.1')

  test('counts each source for itself', () => {
    const { offenders } = setUp()
    expect([offenders.offend(source), offenders.offend(source)]).toEqual([1, 2])
    expect(offenders.offend(parsePrefix('192.0.2.2'))).toBe(1)
  })

  test('forgets a source that has behaved for so long', () => {
    const { offenders, clock } = setUp()
    offenders.offend(source)
    clock.nowMs += 30 * DAY - 1
    expect(offenders.offend(source)).toBe(2)
    clock.nowMs += 30 * DAY + 1
    expect(offenders.offend(source)).toBe(1)
  })

  test('is bounded: the source that offended longest ago makes room', () => {
    const { offenders } = setUp(2)
    const [a, b, c] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map(parsePrefix)
    for (const each of [a!, b!, c!]) offenders.offend(each)
    expect(offenders.offend(b!)).toBe(2)
    expect(offenders.offend(a!)).toBe(1)
  })

  test('a shorter memory counts from the next offence on', () => {
    const { offenders, clock } = setUp()
    offenders.memoryMs = 1000
    offenders.offend(source)
    clock.nowMs += 1001
    expect(offenders.offend(source)).toBe(1)
  })
})

test.each([
  [0, '0s'],
  [499, '0s'],
  [999, '1s'],
  [598_000, '9m 58s'],
  [4 * 3_600_000, '4h'],
  [3_600_000 + 5000, '1h'],
  [17 * DAY, '2w 3d'],
  [-5, '0s'],
])('%i ms is %s for people', (ms, text) => {
  expect(roughDuration(ms)).toBe(text)
})
