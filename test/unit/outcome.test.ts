import { describe, expect, test } from 'vitest'
import type { OutcomeModel } from '../../src/config/policy.ts'
import { judgeSession, type Outcome } from '../../src/control/outcome.ts'
import type { Session } from '../../src/control/session.ts'
import { parsePrefix } from '../../src/net/prefix.ts'

const MODEL: OutcomeModel = {
  kind: 'ssh',
  leastBytes: 1000,
  failedBytes: 3000,
  succeededBytes: 6000,
  graceMs: 150_000,
}

/** A session whose server sent so many bytes of payload in ten packets. */
function session(payload: number, durationMs = 2000, from = '192.0.2.1'): Session {
  const address = parsePrefix(from)
  const headers = address.family === 4 ? 52 : 72
  const toClient = { packets: 10, bytes: 10 * headers + payload }
  return { source: address, address, service: 'ssh', durationMs, toServer: toClient, toClient }
}

describe('a session is', () => {
  test.each<[string, Outcome, Session]>([
    ['unclear when nobody can have tried to log in', 'unclear', session(999)],
    ['failed when little more than the greeting was said', 'failed', session(1000)],
    ['failed up to the bound', 'failed', session(3000)],
    ['unclear between the bounds', 'unclear', session(3001)],
    ['succeeded when the server sent much', 'succeeded', session(6000)],
    ['succeeded when it outlasted the time to log in', 'succeeded', session(2000, 150_000)],
    ['judged by payload over IPv6 too', 'failed', session(3000, 2000, '2001:db8::1')],
    ['unclear without any payload', 'unclear', { ...session(0), toClient: { packets: 1, bytes: 40 } }],
  ])('%s', (_, outcome, each) => {
    expect(judgeSession(each, MODEL)).toBe(outcome)
  })
})
