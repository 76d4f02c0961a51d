import { describe, expect, test } from 'vitest'
import { AnswerWindow } from '../../src/path/dns/answer-window.ts'

const SEED = Uint32Array.of(1, 0x51ce, 2)
const MINUTE = 60_000

function create(): AnswerWindow {
  return new AnswerWindow(new SharedArrayBuffer(AnswerWindow.BYTES), SEED)
}

describe('unsolicited answers in a minute', () => {
  test.each([1, 10, 1000, 100_000])('%i sources, within five per cent', (sources) => {
    const window = create()
    for (let i = 0; i < sources * 2; i++) window.count(0, (0xcb007100 + (i % sources)) >>> 0, 5)
    const minute = AnswerWindow.lastMinute([window], MINUTE)
    expect(minute.count).toBe(sources * 2)
    expect(Math.abs(minute.sources - sources)).toBeLessThanOrEqual(sources * 0.05)
  })

  test('over several threads, each source once', () => {
    const windows = [create(), create()]
    for (let i = 0; i < 2000; i++) for (const window of windows) window.count(1, i, 0)
    const minute = AnswerWindow.lastMinute(windows, MINUTE)
    expect(minute.count).toBe(4000)
    expect(Math.abs(minute.sources - 2000)).toBeLessThan(100)
  })

  test('only the last whole minute counts', () => {
    const window = create()
    window.count(0, 1, 10)
    expect(AnswerWindow.lastMinute([window], 50)).toEqual({ count: 0, sources: 0 })
    window.count(0, 1, MINUTE + 10)
    window.count(0, 2, MINUTE + 20)
    expect(AnswerWindow.lastMinute([window], MINUTE + 50)).toEqual({ count: 1, sources: 1 })
    expect(AnswerWindow.lastMinute([window], 2 * MINUTE)).toEqual({ count: 2, sources: 2 })
    expect(AnswerWindow.lastMinute([window], 3 * MINUTE)).toEqual({ count: 0, sources: 0 })
    window.count(0, 9, 9 * MINUTE)
    expect(AnswerWindow.lastMinute([window], 9 * MINUTE)).toEqual({ count: 0, sources: 0 })
  })
})
