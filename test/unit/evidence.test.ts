import { describe, expect, test } from 'vitest'
import { loadPolicy } from '../../src/config/load.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { VirtualEvidence } from '../lib/evidence.ts'
import { policy, service } from '../lib/policies.ts'

// The rules for failures that are shipped, and sessions made up: days pass in milliseconds.

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const [ADMIN, GUESSER] = ['198.51.100.7', '203.0.113.66']

const shipped = () => new VirtualEvidence(loadPolicy('rules/sluice.yaml'))
const always = (from: string) => () => from

describe('a guesser is an offender', () => {
  test.each([
    ['30 a minute', 2 * SECOND, 5],
    ['4 a minute', 15 * SECOND, 5],
    ['2 a minute', 30 * SECOND, 5],
    ['1 a minute', MINUTE, 5],
    ['1 in 10 minutes', 10 * MINUTE, 6],
    ['1 in 25 minutes', 25 * MINUTE, 20],
  ])('at %s, one try each', (_, everyMs, tries) => {
    expect(shipped().guess(always(GUESSER), everyMs, 100)).toEqual({ tries, punished: [GUESSER] })
  })

  test('not at one in half an hour: that is how fast tries are forgotten', () => {
    expect(shipped().guess(always(GUESSER), 30 * MINUTE, 1000).punished).toEqual([])
  })

  test('by one session, if it held as many tries', () => {
    expect(shipped().session(GUESSER, 'failed', { tries: 6 })).toEqual([GUESSER])
  })

  test('from an IPv6 /64 in which he has a new address for each try', () => {
    const addresses = (i: number) => `2001:db8:bad:1::${(i + 1).toString(16)}`
    expect(shipped().guess(addresses, MINUTE, 100)).toEqual({ tries: 5, punished: ['2001:db8:bad:1::/64'] })
  })

  test('again, by as many tries, when his ban is over', () => {
    const host = shipped()
    host.guess(always(GUESSER), MINUTE, 100)
    expect(host.guess(always(GUESSER), MINUTE, 100).tries).toBe(5)
  })
})

describe('no offender is', () => {
  test('a user who mistypes three times and then gets in, once a day for a month, or twice in an hour', () => {
    const host = shipped()
    for (const pauseMs of [...Array.from({ length: 30 }, () => DAY), HOUR / 2, HOUR / 2]) {
      for (let i = 0; i < 3; i++) expect(host.session(ADMIN, 'failed')).toEqual([])
      expect(host.session(ADMIN, 'succeeded')).toEqual([])
      host.nowMs += pauseMs
    }
    expect(host.isKnown(ADMIN)).toBe(true)
  })

  test('who hangs up before he logs in, or whose sessions are unclear, however often', () => {
    const host = shipped()
    for (let i = 0; i < 1000; i++) expect(host.session(GUESSER, 'unclear')).toEqual([])
    expect(host.evidence.countsOf('ssh').sessions.unclear).toBe(1000)
  })

  test('anybody of a service that counts no failures', () => {
    const host = new VirtualEvidence(policy([service('ssh', 22)]))
    expect(host.guess(always(GUESSER), 0, 1000).punished).toEqual([])
  })

  test('whom a person has pardoned', () => {
    const host = shipped()
    host.guess(always(GUESSER), 0, 4)
    host.evidence.pardon(parsePrefix(GUESSER), host.policy.services)
    expect(host.guess(always(GUESSER), 0, 4).punished).toEqual([])
  })
})

test('who logs in with an account of his own after each four guesses gets 25, and then as many as a stranger', () => {
  const host = shipped()
  let guesses = 0
  const until = host.nowMs + DAY
  let atFirstBan = 0
  for (; host.nowMs < until; host.nowMs += 10 * SECOND) {
    for (let i = 0; i < 4; i++) {
      guesses++
      if (host.session(GUESSER, 'failed').length === 0) continue
      if (atFirstBan === 0) atFirstBan = guesses
      host.nowMs += HOUR
    }
    host.session(GUESSER, 'succeeded')
  }
  expect(atFirstBan).toBeGreaterThan(20)
  expect(atFirstBan).toBeLessThanOrEqual(25)
})

describe('trust', () => {
  test('is good for an hour after the first login, and longer with each further use', () => {
    const host = shipped()
    host.session(ADMIN, 'succeeded')
    host.nowMs += HOUR - 1
    expect(host.isKnown(ADMIN)).toBe(true)
    host.nowMs += 1
    expect(host.isKnown(ADMIN)).toBe(false)
    const terms = Array.from({ length: 8 }, () => {
      host.nowMs += 8 * DAY
      host.session(ADMIN, 'succeeded')
      return host.trust.of(parsePrefix(ADMIN), 'ssh')!.termMs / HOUR
    })
    expect(terms).toEqual([4, 16, 64, 256, 720, 720, 720, 720])
  })

  test('grows by a session that goes on for days, which counts as one', () => {
    const host = shipped()
    const learned = () => host.trust.of(parsePrefix(ADMIN), 'ssh')
    host.session(ADMIN, 'succeeded')
    for (let i = 0; i < 6 * 24; i++) {
      host.nowMs += 10 * MINUTE
      host.session(ADMIN, 'succeeded', { isKnown: true })
    }
    expect(learned()).toMatchObject({ successes: 1, termMs: 256 * HOUR, lastMs: host.nowMs })
    expect(host.evidence.countsOf('ssh').sessions).toEqual({ failed: 0, succeeded: 1, unclear: 0 })
    expect(host.evidence.recent.of(ADMIN)).toHaveLength(1)
    host.session(ADMIN, 'succeeded')
    expect(learned()).toMatchObject({ successes: 2 })
  })

  test('does not grow by a hundred logins at once', () => {
    const host = shipped()
    for (let i = 0; i < 100; i++) host.session(ADMIN, 'succeeded')
    expect(host.trust.of(parsePrefix(ADMIN), 'ssh')).toMatchObject({ successes: 100, termMs: HOUR })
  })

  test('is forgotten when nobody has come for its longest term', () => {
    const host = shipped()
    host.session(ADMIN, 'succeeded')
    host.nowMs += 31 * DAY
    host.session(ADMIN, 'succeeded')
    expect(host.trust.of(parsePrefix(ADMIN), 'ssh')).toMatchObject({ successes: 1, termMs: HOUR })
  })

  test('is one for each service: who sends a mail is no friend of sshd', () => {
    const host = shipped()
    for (const service of ['smtp', 'submission']) host.session(GUESSER, 'succeeded', { service })
    expect(['ssh', 'smtp', 'submission'].map((each) => host.isKnown(GUESSER, each))).toEqual([
      false,
      false,
      true,
    ])
  })

  test('is lost by failures; as many again make an offender', () => {
    const host = shipped()
    host.session(ADMIN, 'succeeded')
    expect(host.guess(always(ADMIN), SECOND, 5).punished).toEqual([])
    expect(host.isKnown(ADMIN)).toBe(false)
    expect(host.events).toEqual(['trust-lost'])
    expect(host.guess(always(ADMIN), SECOND, 100)).toEqual({ tries: 5, punished: [ADMIN] })
  })

  test('is taken away by hand', () => {
    const host = shipped()
    host.session(ADMIN, 'succeeded')
    host.session('2001:db8:600d:7::1', 'succeeded')
    expect(host.trust.forget(parsePrefix('198.51.100.0/24'))).toHaveLength(1)
    expect(host.trust.listed()).toHaveLength(1)
    expect(host.isKnown(ADMIN)).toBe(false)
  })

  test('is bounded: who came longest ago is forgotten, by the path too', () => {
    const { trust, ...rest } = loadPolicy('rules/sluice.yaml')
    const host = new VirtualEvidence({ ...rest, trust: { ...trust!, maxEntries: 10 } })
    for (let i = 0; i < 1000; i++) host.session(`10.0.${i >> 8}.${i & 255}`, 'succeeded')
    expect(host.trust.entries()).toHaveLength(10)
    expect(host.known.size).toBe(10)
  })

  test('of a service that is gone is forgotten', () => {
    const host = shipped()
    host.session(ADMIN, 'succeeded')
    host.trust.keepServices(['submission'])
    expect(host.known.size).toBe(0)
  })

  test('covers the network once somebody has come back, and no longer than he is trusted', () => {
    const host = shipped()
    host.session(ADMIN, 'succeeded')
    expect(host.known.size).toBe(1)
    host.nowMs += HOUR
    host.session(ADMIN, 'succeeded')
    expect(host.known.size).toBe(2)
    host.guess(always(ADMIN), 0, 5)
    expect(host.known.size).toBe(0)
  })

  test('of a network stays while another of its sources has it', () => {
    const host = shipped()
    for (let i = 0; i < 2; i++, host.nowMs += HOUR) {
      for (const from of [ADMIN, '198.51.100.8']) host.session(from, 'succeeded')
    }
    expect(host.known.size).toBe(3)
    host.trust.forget(parsePrefix(ADMIN))
    expect(host.known.size).toBe(2)
  })

  test('is taken up again after a restart', () => {
    const [before, after] = [shipped(), shipped()]
    before.session(ADMIN, 'succeeded')
    after.trust.restore(before.trust.entries())
    expect(after.isKnown(ADMIN)).toBe(true)
    expect(after.known.size).toBe(1)
  })
})

describe('a network is an offender', () => {
  test('when eight of its 64 addresses have tried once each, however slowly', () => {
    const host = shipped()
    const guessed = host.guess((i) => `203.0.113.${i % 64}`, 45 * MINUTE, 64)
    expect(guessed).toEqual({ tries: 8, punished: ['203.0.113.0/24'] })
  })

  test('of IPv6: a /56 for its /64s, a /48 for its /56s', () => {
    expect(shipped().guess((i) => `2001:db8:bad:${i.toString(16)}::1`, MINUTE, 64)).toEqual({
      tries: 8,
      punished: ['2001:db8:bad::/56'],
    })
    expect(shipped().guess((i) => `2001:db8:bad:${i.toString(16)}00::1`, MINUTE, 64)).toEqual({
      tries: 8,
      punished: ['2001:db8:bad::/48'],
    })
  })

  test('not for one address that fails and fails, nor for those that failed yesterday', () => {
    const host = shipped()
    for (let i = 0; i < 50; i++) expect(host.guess(always(GUESSER), SECOND, 99).punished).toEqual([GUESSER])
    const slow = shipped().guess((i) => `203.0.113.${i % 64}`, HOUR, 64)
    expect(slow.punished).toEqual([])
  })

  test('not for those who got in after all', () => {
    const host = shipped()
    for (let i = 0; i < 200; i++) {
      expect(host.session(`203.0.113.${i}`, 'failed')).toEqual([])
      host.session(`203.0.113.${i}`, 'succeeded')
    }
  })

  test('also for sources whose SYNs made offenders of them', () => {
    const host = shipped()
    const offended = Array.from({ length: 8 }, (_, i) =>
      host.evidence.offended(parsePrefix(`203.0.113.${i}`), 'ssh', host.policy),
    )
    expect(offended.flat()).toMatchObject([{ service: 'ssh', source: parsePrefix('203.0.113.0/24') }])
  })

  test('around the sources in it that are known good', () => {
    const host = shipped()
    host.session('203.0.113.77', 'succeeded')
    const { tries, punished } = host.guess((i) => `203.0.113.${i}`, MINUTE, 64)
    expect(tries).toBe(8)
    expect(punished).toEqual([
      '203.0.113.0/26',
      '203.0.113.64/29',
      '203.0.113.72/30',
      '203.0.113.76',
      '203.0.113.78/31',
      '203.0.113.80/28',
      '203.0.113.96/27',
      '203.0.113.128/25',
    ])
  })

  test('not if more than eight are known good in it: then its sources are banned one by one', () => {
    const host = shipped()
    for (let i = 0; i < 9; i++) host.session(`203.0.113.${200 + i}`, 'succeeded')
    expect(host.guess((i) => `203.0.113.${i % 64}`, SECOND, 64).punished).toEqual([])
    expect(host.events).toContain('network-spared')
    expect(host.guess((i) => `203.0.113.${i % 64}`, SECOND, 640).punished).toHaveLength(1)
  })
})
