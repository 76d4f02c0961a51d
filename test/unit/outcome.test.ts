import { describe, expect, test } from 'vitest'
import type { OutcomeModel } from '../../src/config/policy.ts'
import { estimateTries, judgeSession, type Outcome } from '../../src/control/evidence/outcome.ts'
import type { Session } from '../../src/control/sessions/session.ts'
import { parsePrefix } from '../../src/net/prefix.ts'

const SSH: OutcomeModel = {
  kind: 'ssh',
  leastBytes: 1000,
  failedBytes: 2000,
  largeFromBytes: 2800,
  largeLeastBytes: 2900,
  largeFailedBytes: 3000,
  largeFailedPackets: 20,
  succeededBytes: 6000,
  graceMs: 150_000,
  openingBytes: undefined,
}
const SUBMISSION: OutcomeModel = {
  kind: 'submission',
  succeededBytes: 4000,
  failedPackets: 20,
  failedBytesPerPacket: 50,
}
const SMTP: OutcomeModel = {
  kind: 'smtp',
  succeededBytes: 4000,
  failedPackets: Number.POSITIVE_INFINITY,
  failedBytesPerPacket: 0,
}

type Sides = readonly [packets: number, payload: number]

function session(
  toClient: Sides,
  toServer: Sides = [12, 1200],
  durationMs = 2000,
  from = '192.0.2.1',
  hasTimestamps: boolean | undefined = true,
): Session {
  const address = parsePrefix(from)
  const headers = (address.family === 4 ? 40 : 60) + (hasTimestamps === false ? 0 : 12)
  const volume = ([packets, payload]: Sides) => ({ packets, bytes: packets * headers + payload })
  const [there, back] = [volume(toServer), volume(toClient)]
  return {
    source: address,
    address,
    service: 'x',
    durationMs,
    hasTimestamps,
    toServer: there,
    toClient: back,
    isKnown: false,
  }
}

describe('an SSH session is', () => {
  test.each<[string, Outcome, Session]>([
    ['unclear when nobody can have tried to log in', 'unclear', session([10, 999])],
    ['failed when little more than the greeting was said', 'failed', session([10, 1000])],
    ['failed up to the bound', 'failed', session([10, 2000])],
    ['unclear between the bounds', 'unclear', session([10, 2001])],
    ['failed a little later when the keys were large', 'failed', session([10, 3000], [20, 2800])],
    ['failed from there on too', 'failed', session([10, 2900], [20, 2800])],
    ['unclear when the answer to them was too small', 'unclear', session([10, 2899], [20, 2800])],
    ['unclear when they only may have been', 'unclear', session([10, 3000], [20, 2799])],
    ['unclear when the client had more to say', 'unclear', session([10, 3000], [21, 2800])],
    ['unclear beyond that', 'unclear', session([10, 3001], [20, 2800])],
    ['succeeded when the server sent much', 'succeeded', session([10, 6000])],
    ['succeeded when it outlasted the time to log in', 'succeeded', session([10, 1500], [12, 1200], 150_000)],
    ['judged by payload over IPv6 too', 'failed', session([10, 2000], [12, 1200], 2000, '2001:db8::1')],
    ['unclear without any payload', 'unclear', { ...session([1, 0]), toClient: { packets: 1, bytes: 40 } }],
  ])('%s', (_, outcome, each) => {
    expect(judgeSession(each, SSH)).toBe(outcome)
  })
})

describe('a session without TCP timestamps', () => {
  const without = (toClient: Sides, toServer?: Sides, from?: string) =>
    session(toClient, toServer, 2000, from, false)

  test.each<[string, Outcome, Session, OutcomeModel]>([
    ['has smaller headers', 'failed', without([10, 2000]), SSH],
    ['is not said to have sent less than it has', 'unclear', without([10, 2001]), SSH],
    ['over IPv6 neither', 'unclear', without([10, 2001], [12, 1200], '2001:db8::1'), SSH],
    ['failed a little later too', 'failed', without([10, 3000], [20, 2800]), SSH],
    ['has smaller headers when it brings mail', 'failed', without([20, 1000], [20, 1000]), SUBMISSION],
    ['is not taken for one of passwords', 'unclear', without([20, 1000], [20, 1001]), SUBMISSION],
  ])('%s', (_, outcome, each, model) => {
    expect(judgeSession(each, model)).toBe(outcome)
  })
})

// Reckoned with timestamps in each packet; without, it would have 120 bytes more.
describe('a session that may have TCP timestamps or not', () => {
  const unknown = (toClient: Sides): Session => ({ ...session(toClient), hasTimestamps: undefined })

  test.each<[string, Outcome, Sides]>([
    ['has failed if it has in both cases', 'failed', [10, 1880]],
    ['is unclear if it has in one', 'unclear', [10, 1881]],
    ['is unclear if only in one somebody can have tried', 'unclear', [10, 999]],
    ['is unclear if it has succeeded in one', 'unclear', [10, 5999]],
    ['has succeeded if it has in both', 'succeeded', [10, 6000]],
  ])('%s', (_, outcome, toClient) => {
    expect(judgeSession(unknown(toClient), SSH)).toBe(outcome)
  })
})

describe('a mail session is', () => {
  test.each<[string, Outcome, Session, OutcomeModel]>([
    ['succeeded when it carried a mail', 'succeeded', session([20, 600], [20, 4000]), SUBMISSION],
    ['failed when it was many small packets', 'failed', session([20, 1000], [20, 1000]), SUBMISSION],
    ['unclear when these were few', 'unclear', session([20, 1000], [19, 900]), SUBMISSION],
    ['unclear when these were large', 'unclear', session([20, 1000], [20, 1001]), SUBMISSION],
    ['succeeded between servers too', 'succeeded', session([20, 600], [20, 4000]), SMTP],
    ['never failed between servers', 'unclear', session([60, 3000], [60, 900]), SMTP],
  ])('%s', (_, outcome, each, model) => {
    expect(judgeSession(each, model)).toBe(outcome)
  })
})

test.each<[number, number]>([
  [8, 1],
  [12, 1],
  [14, 2],
  [20, 4],
  [500, 10],
])('%i packets from an SSH server hold about %i tries', (packets, tries) => {
  expect(estimateTries(session([packets, 1500]), SSH)).toBe(tries)
})

test('what a mail session tried cannot be told', () => {
  expect(estimateTries(session([30, 1500]), SUBMISSION)).toBeUndefined()
})
