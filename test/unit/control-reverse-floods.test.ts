import { expect, test } from 'vitest'
import { hostReverseRate, ReverseFloods } from '../../src/control/dns/reverse-floods.ts'
import { TestLog } from '../lib/test-log.ts'

const CALM = { isFlooded: false, perSecond: 10, level: 100, threshold: 400, sinceMs: 0, floods: 0 }
const FLOODED = { ...CALM, isFlooded: true, perSecond: 900, sinceMs: 5000, floods: 1 }

test('the host is flooded when one path thread is', () => {
  expect(hostReverseRate([CALM, FLOODED])).toEqual({
    isFlooded: true,
    perSecond: 910,
    level: 200,
    threshold: 800,
    sinceMs: 5000,
    floods: 1,
  })
})

test('a flood is logged when it begins and when it ends, and only then', () => {
  const { log, lines } = new TestLog()
  const floods = new ReverseFloods()
  const looks = [[CALM], [FLOODED], [{ ...FLOODED, perSecond: 2000 }], [FLOODED], [CALM], [CALM]]
  for (const [i, rates] of looks.entries()) floods.look(rates, log, 5000 + 1000 * i)
  expect(lines).toEqual([
    expect.stringMatching(/^warn reverse-flood: .* more than 400 a second/),
    'info reverse-flood: the flood of reverse DNS queries is over after 4 s; at most 2000 came in a second',
  ])
})
