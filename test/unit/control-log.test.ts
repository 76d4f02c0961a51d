import { describe, expect, test } from 'vitest'
import { LogLimiter } from '../../src/control/log/log-limiter.ts'
import { TestLog } from '../lib/test-log.ts'

function setUp(burst = 2) {
  const clock = { nowMs: 0 }
  const limiter = new LogLimiter({ burst, perSecond: 1, now: () => clock.nowMs })
  const { lines, log } = new TestLog(limiter)
  return { clock, lines, log }
}

describe('the log', () => {
  test('one line an event, with its level', () => {
    const { log, lines } = setUp()
    log.info('ban', 'banned 192.0.2.1')
    log.error('repair-failed', 'no')
    expect(lines).toEqual(['info ban: banned 192.0.2.1', 'error repair-failed: no'])
  })

  test('events of one kind are limited, others are not', () => {
    const { log, lines } = setUp()
    for (let i = 0; i < 5; i++) log.info('ban', `${i}`)
    log.info('unban', 'x')
    expect(lines).toEqual(['info ban: 0', 'info ban: 1', 'info unban: x'])
  })

  test('what was swallowed is told once it may be logged again', () => {
    const { log, lines, clock } = setUp()
    for (let i = 0; i < 5; i++) log.info('ban', `${i}`)
    log.reportSuppressed()
    expect(lines).toHaveLength(2)
    clock.nowMs = 1000
    log.reportSuppressed()
    log.reportSuppressed()
    expect(lines.slice(2)).toEqual(['warn suppressed: suppressed 3 "ban" events'])
    log.info('ban', 'again')
    expect(lines.at(-1)).toBe('info ban: again')
  })

  test('a silent kind of event saves up no more than the burst', () => {
    const { log, lines, clock } = setUp(2)
    log.info('ban', 'x')
    clock.nowMs = 1e9
    for (let i = 0; i < 5; i++) log.info('ban', `${i}`)
    expect(lines).toHaveLength(3)
  })

  test('lines below the level cost no token', () => {
    const { log, lines } = setUp(1)
    log.level = 'info'
    log.debug('ban', 'unseen')
    log.info('ban', 'seen')
    expect(lines).toEqual(['info ban: seen'])
  })
})
