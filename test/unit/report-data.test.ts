import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Service } from '../../src/config/policy.ts'
import { Attempt } from '../../src/replay/attempt.ts'
import { REPLAY_REASONS, type ReplayReason } from '../../src/replay/replay-reason.ts'
import { html } from '../../src/replay/report/html.ts'
import { Series } from '../../src/replay/report/series.ts'
import { TimeAxis } from '../../src/replay/report/time-axis.ts'
import { FATES, Timeline } from '../../src/replay/report/timeline.ts'
import { Trace } from '../../src/replay/report/trace.ts'
import { WatchList } from '../../src/replay/report/watch-list.ts'
import { policy, service } from '../lib/policies.ts'

const ssh: Service = service('ssh', 22, {
  limits: { source: { burst: 4, ratePerSecond: 0.5 }, network: undefined, total: undefined },
})

/** Gaps between attempts: from none to decades, as a capture with a broken clock has them. */
const times = fc
  .array(
    fc.oneof(fc.constant(0), fc.nat(50), fc.nat(100_000), fc.double({ min: 0, max: 1e12, noNaN: true })),
    {
      maxLength: 1000,
    },
  )
  .map((gaps) => {
    let atMs = 0
    return gaps.map((gap) => {
      atMs += gap
      return atMs
    })
  })

function sum(numbers: Iterable<number>): number {
  return [...numbers].reduce((a, b) => a + b, 0)
}

describe('the timeline', () => {
  const judge = (
    timeline: Timeline,
    elapsedMs: number,
    reason: ReplayReason,
    verdict: 'accept' | 'drop' | 'shadow',
  ) => {
    const attempt = Object.assign(new Attempt(), { elapsedMs })
    const reasonNumber = REPLAY_REASONS.indexOf(reason)
    timeline.judged({ attempt, service: ssh, slot: 0, verdict, reason, reasonNumber })
  }

  test('counts every attempt once, at its time, however long the capture is', () => {
    fc.assert(
      fc.property(times, (all) => {
        const timeline = new Timeline(policy([ssh]))
        for (const atMs of all) judge(timeline, atMs, 'within-limit', 'accept')
        const bins = timeline.bins('ssh', 'accepted')
        expect(bins.length).toBe(512)
        expect(sum(bins)).toBe(all.length)
        for (const [i, count] of bins.entries()) {
          expect(count).toBe(all.filter((atMs) => Math.floor(atMs / timeline.binMs) === i).length)
        }
      }),
      { numRuns: 30 },
    )
  })

  test('uses more than half of its bins once there are two doublings', () => {
    const timeline = new Timeline(policy([ssh]))
    judge(timeline, 3_600_000, 'within-limit', 'accept')
    expect(timeline.binMs).toBe(8192)
    expect(timeline.bins('ssh', 'accepted').findIndex((count) => count > 0)).toBeGreaterThan(256)
  })

  test.each<[ReplayReason, 'accept' | 'drop' | 'shadow', string]>([
    ['within-limit', 'accept', 'accepted'],
    ['allow-list', 'accept', 'accepted'],
    ['source-limit', 'drop', 'refused'],
    ['retransmission', 'drop', 'refused'],
    ['source-limit', 'shadow', 'refused'],
    ['banned', 'drop', 'banned'],
  ])('%s with verdict %s is %s', (reason, verdict, fate) => {
    const timeline = new Timeline(policy([ssh]))
    judge(timeline, 0, reason, verdict)
    expect(FATES.filter((each) => sum(timeline.bins('ssh', each)) > 0)).toEqual([fate])
  })
})

test('a series keeps 256 points at most, in the order of time, and never loses the lowest', () => {
  const values = fc.infiniteStream(fc.nat(1000))
  fc.assert(
    fc.property(times, values, (all, each) => {
      const series = new Series()
      const added = all.map((atMs) => ({ atMs, value: each.next().value! }))
      for (const { atMs, value } of added) series.add(atMs, value)
      expect(series.atMs.length).toBeLessThanOrEqual(256)
      expect(series.atMs).toEqual([...series.atMs].sort((a, b) => a - b))
      expect(Math.min(...series.values)).toBe(Math.min(...added.map(({ value }) => value)))
      const known = new Set(added.map(({ atMs, value }) => `${atMs} ${value}`))
      expect(series.values.every((value, i) => known.has(`${series.atMs[i]} ${value}`))).toBe(true)
    }),
    { numRuns: 50 },
  )
})

test('a bucket loses a token at each attempt and grows back no further than its burst', () => {
  const trace = new Trace({ burst: 4, ratePerSecond: 0.5 })
  for (const atMs of [0, 1000, 1001, 7001, 60_000]) trace.take(atMs)
  expect(trace.levels.values.map((level) => Number(level.toFixed(3)))).toEqual([3, 2.5, 1.501, 3, 3])
})

describe('the watch list', () => {
  const names = Array.from({ length: 5000 }, (_, i) => `forged ${i}`)

  test('a flood from forged addresses washes out neither an offender nor who is about to be one', () => {
    const list = new WatchList<object>()
    const see = (name: string, isRefused: boolean) => list.see(name, isRefused, () => ({ name }))
    const [offender, next] = [see('offender', true), see('next', false)]
    see('offender', true)
    for (const name of names) {
      see('next', false)
      see(name, true)
    }
    expect(list.get('offender')).toBe(offender)
    expect(list.get('next')).toBe(next)
    expect(names.filter((name) => list.get(name) !== undefined)).toHaveLength(256 + 1024 - 2)
  })

  test('an offender who comes when it is full of others takes the place of one refused less', () => {
    const list = new WatchList<object>()
    const see = (name: string) => list.see(name, true, () => ({ name }))
    for (const name of names) see(name)
    const late = see('late')
    see('late')
    for (const name of names) see(name)
    expect(list.get('late')).toBe(late)
  })

  test('forgets who was not seen for long and never refused', () => {
    const list = new WatchList<object>()
    for (const name of ['idle', ...names]) list.see(name, false, () => ({}))
    expect(list.get('idle')).toBeUndefined()
    expect(names.filter((name) => list.get(name) !== undefined)).toHaveLength(1024)
  })
})

describe('the time axis', () => {
  test.each<[endMs: number, ticks: string]>([
    [0, '0 200ms 400ms 600ms 800ms 1s'],
    [3, '0 1ms 2ms 3ms'],
    [900, '0 200ms 400ms 600ms 800ms'],
    [14_200, '0 5s 10s'],
    [1_795_000, '0 5m 10m 15m 20m 25m'],
    [5_400_000, '0 15m 30m 45m 1h 1h 15m 1h 30m'],
    [86_400_000, '0 6h 12h 18h 1d'],
    [54 * 365 * 86_400_000, '0 585w 1d 1170w 2d 1755w 3d 2340w 4d'],
  ])('of %d ms', (endMs, ticks) => {
    const axis = new TimeAxis(endMs)
    expect(axis.ticks.map(({ text }) => text).join(' ')).toBe(ticks)
    expect(axis.ticks.every(({ x }, i) => x >= 0 && x <= 1000 && (i === 0 || x > axis.ticks[i - 1]!.x))).toBe(
      true,
    )
  })

  test('what lies beyond the end is drawn at the end', () => {
    const axis = new TimeAxis(1000)
    expect([-5, 0, 333.333, 1000, 5000].map((atMs) => axis.x(atMs))).toEqual([0, 0, 333.33, 1000, 1000])
  })
})

describe('markup', () => {
  test.each([
    ['<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;'],
    [`" onload="x' y`, '&quot; onload=&quot;x&#39; y'],
    ['&lt;', '&amp;lt;'],
    ['a\u0000\u001b[31mb\u202etxt.exe', 'a\ufffd\ufffd[31mb\ufffdtxt.exe'],
    ['two\nlines, Grüße, 雪', 'two\nlines, Grüße, 雪'],
  ])('%j is text', (text, escaped) => {
    expect(html`<a title="${text}">${text}</a>`.text).toBe(`<a title="${escaped}">${escaped}</a>`)
  })

  test('markup within markup stays markup', () => {
    const items = ['a', '<b>'].map((each) => html`<li>${each}</li>`)
    expect(html`<ul>${items}</ul>${7}`.text).toBe('<ul><li>a</li>\n<li>&lt;b&gt;</li></ul>7')
  })
})
