import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Judgement } from '../../src/replay/observer.ts'
import { bestPoint, demandCurve } from '../../src/tune/curve.ts'
import { Demands } from '../../src/tune/demands.ts'
import { Envelope } from '../../src/tune/envelope.ts'
import { RATES, roundBurst, widened } from '../../src/tune/ladders.ts'

const PER_MINUTE = 1 / 60
const HOUR_SECONDS = 3600

/** What one source needs that comes at `seconds`, counted `margin` times. */
function envelope(seconds: readonly number[], margin = 1): Envelope {
  const result = new Envelope(margin)
  for (const each of seconds) result.draw(each * 1000)
  return result
}

function burstAt(ratePerSecond: number, of: Envelope): number {
  return of.burst(
    RATES.findIndex((rate) => Math.abs(rate - ratePerSecond) < 1e-9),
    HOUR_SECONDS,
  )
}

/** `count` attempts, one every `everySeconds`. */
function every(everySeconds: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => i * everySeconds)
}

describe('the burst that a source needs', () => {
  test.each<[string, number[], number, number]>([
    ['one attempt: one token', [7], 1, 1],
    ['twenty at once: twenty, at any rate', every(0, 20), 100, 20],
    ['six a minute at a rate of six a minute: one', every(10, 100), 6 * PER_MINUTE, 1],
    ['six a minute at a rate of five: one in six piles up', every(10, 61), 5 * PER_MINUTE, 11],
    [
      'two bursts of ten, far enough apart for the first to grow again',
      [...every(0, 10), ...every(0, 10).map(() => 60)],
      10 * PER_MINUTE,
      10,
    ],
    [
      'two bursts of ten, half as far apart',
      [...every(0, 10), ...every(0, 10).map(() => 30)],
      10 * PER_MINUTE,
      15,
    ],
  ])('%s', (_, seconds, rate, burst) => {
    expect(burstAt(rate, envelope(seconds))).toBe(burst)
  })

  test.each<[string, number[], number]>([
    ['no more than grows in an hour: the client may go on for ever', every(7.5, 480), 1],
    ['one more: no burst is enough', every(7.4, 481), Number.POSITIVE_INFINITY],
    ['ten at the beginning, ten at the end: twenty', [...every(0, 10), ...every(0, 10).map(() => 3600)], 20],
  ])('if the hour came again and again, at 8/min: %s', (_, seconds, burst) => {
    expect(burstAt(8 * PER_MINUTE, envelope(seconds))).toBe(burst)
  })

  const arrivals = fc.array(fc.integer({ min: 0, max: 600_000 }), { minLength: 1, maxLength: 40 })

  test('is at least the maximum over all intervals of margin x attempts - rate x time', () => {
    fc.assert(
      fc.property(arrivals, fc.constantFrom(1, 1.5, 10), fc.nat(RATES.length - 1), (times, margin, step) => {
        const ms = times.sort((a, b) => a - b)
        const excesses = ms.flatMap((start, i) =>
          ms.slice(i).map((end, j) => margin * (j + 1) - (RATES[step]! * (end - start)) / 1000),
        )
        const of = envelope(
          ms.map((each) => each / 1000),
          margin,
        )
        // So long after the last attempt, nothing waits any more.
        expect(of.burst(step, 1e9)).toBe(Math.ceil(Math.max(...excesses) - 1e-6))
      }),
    )
  })

  test('is enough for any number of repetitions', () => {
    const LAP = 600
    fc.assert(
      fc.property(arrivals, fc.constantFrom(1, 1.5), fc.nat(RATES.length - 1), (times, margin, step) => {
        const seconds = times.sort((a, b) => a - b).map((ms) => ms / 1000)
        const burst = envelope(seconds, margin).burst(step, LAP)
        const laps = [0, 1, 2, 3].flatMap((lap) => seconds.map((at) => at + lap * LAP))
        expect(burst).toBeGreaterThanOrEqual(envelope(laps, margin).burst(step, 1e9))
      }),
    )
  })
})

describe('the share of sources', () => {
  const needs = [1, 2, 3, 4, 5, 6, 7, 8, 9, 100].map((count) => ({ envelope: envelope(every(0, count)) }))
  test.each([
    [0.5, 5, 5],
    [0.8, 8, 8],
    [0.9, 9, 10],
    [0.91, 10, 100],
    [0.999, 10, 100],
    [1, 10, 100],
  ])('%d of ten', (share, covered, burst) => {
    const curve = demandCurve(needs, share, HOUR_SECONDS)
    expect(curve.covered).toBe(covered)
    expect(curve.points[0]).toMatchObject({ burst })
  })

  test('of nobody is nobody, and has no limit', () => {
    expect(demandCurve([], 0.999, HOUR_SECONDS)).toEqual({ buckets: 0, covered: 0, points: [] })
  })
})

describe('the point chosen on the curve', () => {
  const best = (seconds: readonly number[], captured: number) =>
    bestPoint(demandCurve([{ envelope: envelope(seconds) }], 1, captured))

  test.each<[string, number[], number, { burst: number; perMinute: number }]>([
    ['one login in an hour gets the least that a person would write', [0], 3600, { burst: 5, perMinute: 1 }],
    [
      'twenty at once have their burst back after ten minutes',
      every(0, 20),
      3600,
      { burst: 20, perMinute: 2 },
    ],
    [
      'who polls nine times a minute gets a rate, not the hour as a burst',
      every(6.7, 537),
      3600,
      { burst: 5, perMinute: 10 },
    ],
    [
      'in a minute of capture: the same may come the next minute',
      every(0, 20),
      60,
      { burst: 20, perMinute: 20 },
    ],
    ['a second of capture counts as a minute', every(0, 2), 1, { burst: 5, perMinute: 2 }],
  ])('%s', (_, seconds, captured, { burst, perMinute }) => {
    const point = best(seconds, captured)
    expect(point).toMatchObject({ burst, ratePerSecond: perMinute / 60 })
    expect(point?.anHour).toBe(burst + perMinute * 60)
  })

  test('no other point that refills in time gives an attacker less', () => {
    const busy = envelope([...every(0, 63), ...every(0.15, 400)])
    const curve = demandCurve([{ envelope: busy }], 1, HOUR_SECONDS)
    const chosen = bestPoint(curve)!
    const others = curve.points.filter(({ refillSeconds }) => refillSeconds <= 600)
    expect(Math.min(...others.map(({ anHour }) => anHour))).toBe(chosen.anHour)
  })

  test('what no policy can hold is not proposed', () => {
    const flood = new Envelope(1_000_001)
    flood.draw(0)
    expect(bestPoint(demandCurve([{ envelope: flood }], 1, 1e9))).toBeUndefined()
  })
})

test('of more sources than fit, the one that has not drawn for longest is forgotten, and counted', () => {
  const demands = new Demands('source', 2)
  for (const sourceLow of [1, 2, 1, 3]) {
    const view = { family: 4, sourceHigh: 0, sourceLow }
    const attempt = { view, elapsedMs: 0 }
    const judgement = { reason: 'within-limit', slot: 0, service: { name: 'ssh' }, attempt }
    demands.judged(judgement as unknown as Judgement)
  }
  expect(demands.forgotten).toBe(1)
  // The first one has drawn twice, and the third one begins anew in the place of the second.
  expect(demands.of('ssh').map(({ envelope }) => envelope.burst(0, HOUR_SECONDS))).toEqual([2, 3])
})

describe('numbers that a person would write', () => {
  test.each([
    [1, 5],
    [9, 10],
    [11, 15],
    [121, 150],
    [1_000_000, 1_000_000],
    [1_000_001, undefined],
  ])('a burst of %d', (burst, rounded) => {
    expect(roundBurst(burst)).toBe(rounded)
  })

  test('a wider limit holds several of the narrower one, and is left alone where it does', () => {
    const inner = { burst: 40, ratePerSecond: 10 * PER_MINUTE }
    const wide = { burst: 200, ratePerSecond: 1 }
    expect(widened(wide, inner, 3)).toBe(wide)
    expect(widened({ burst: 60, ratePerSecond: 1 }, inner, 3)).toEqual({ burst: 150, ratePerSecond: 1 })
    expect(widened({ burst: 200, ratePerSecond: 0.1 }, inner, 3)).toEqual({ burst: 200, ratePerSecond: 0.5 })
  })
})
