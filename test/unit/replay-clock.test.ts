import { describe, expect, test } from 'vitest'
import { BucketRows } from '../../src/replay/bucket-rows.ts'
import { CaptureClock } from '../../src/replay/capture-clock.ts'
import { isoTime } from '../../src/replay/iso-time.ts'
import { REPLAY_REASONS } from '../../src/replay/replay-reason.ts'
import { service } from '../lib/policies.ts'

describe('elapsed time', () => {
  const DAY = 86_400_000
  const NOW = 1_700_000_000_000
  test.each<[what: string, times: number[], elapsed: number[], steps: number]>([
    ['goes with the capture', [NOW, NOW + 5, NOW + 5, NOW + 1000], [0, 5, 5, 1000], 0],
    ['begins at 0 for a capture that does, too', [0, 1500], [0, 1500], 0],
    ['begins at 0 before 1970', [-5000, -4000], [0, 1000], 0],
    ['stands still over disorder, and gains nothing', [NOW, NOW + 10, NOW + 8, NOW + 12], [0, 10, 10, 12], 0],
    ['goes on where the clock was set back', [NOW, NOW + 10, NOW - DAY, NOW - DAY + 7], [0, 10, 10, 17], 1],
    ['follows a jump ahead', [NOW, NOW + DAY, NOW + DAY + 1], [0, DAY, DAY + 1], 0],
    ['survives one packet of the far future', [NOW, NOW + 400 * DAY, NOW + 1], [0, 400 * DAY, 400 * DAY], 1],
  ])('%s', (_, times, elapsed, steps) => {
    const clock = new CaptureClock()
    const seen = times.map((timeMs) => {
      clock.see({ timeMs })
      return clock.elapsedMs
    })
    expect(seen).toEqual(elapsed)
    expect(clock.steps).toBe(steps)
    expect(clock.nowMs).toBeGreaterThan(0)
  })
})

const SOURCE_LIMIT = REPLAY_REASONS.indexOf('source-limit')

test('demand is the burst that would have let everything through', () => {
  const draws = (...atMs: number[]) => {
    const ssh = service('ssh', 22, {
      limits: { source: { burst: 1, ratePerSecond: 1 }, network: undefined, total: undefined },
    })
    const rows = new BucketRows('source', [ssh], 2)
    for (const elapsedMs of atMs) rows.add(1, 0, SOURCE_LIMIT, { timeMs: 1e12 + elapsedMs, elapsedMs })
    expect(rows.read(0).demand).toBe(0)
    return rows.read(1).demand
  }
  expect(draws(0, 0, 0)).toBe(3)
  expect(draws(0, 1000, 2000)).toBe(1)
  expect(draws(0, 0, 0, 2000, 2000)).toBe(3)
  expect(draws(0, 0, 0, 2000, 2000, 2000)).toBe(4)
  expect(draws(0, 500, 1000)).toBe(2)
})

test('times are written to the microsecond, and never beyond what a date can hold', () => {
  expect(isoTime(1_700_000_000_123.456)).toBe('2023-11-14T22:13:20.123456Z')
  expect(isoTime(0.25)).toBe('1970-01-01T00:00:00.000250Z')
  expect(isoTime(-0.5)).toBe('1969-12-31T23:59:59.999500Z')
  expect(isoTime(1e30)).toBe('+275760-09-13T00:00:00.000000Z')
})
