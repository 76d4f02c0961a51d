import { describe, expect, test } from 'vitest'
import { formatExplanation } from '../../src/cli/explain-text.ts'
import { AllowList } from '../../src/control/allow/allow-list.ts'
import { Bans } from '../../src/control/bans/bans.ts'
import { Holds } from '../../src/control/bans/holds.ts'
import { MemoryBanSets } from '../../src/control/bans/memory-ban-sets.ts'
import { Evidence } from '../../src/control/evidence/evidence.ts'
import type { Outcome } from '../../src/control/evidence/outcome.ts'
import { SshServers } from '../../src/control/evidence/ssh-servers.ts'
import { Trust } from '../../src/control/evidence/trust.ts'
import { type ExplainState, explain } from '../../src/control/requests/explain.ts'
import { Proofs } from '../../src/control/sessions/proofs.ts'
import type { PanicState } from '../../src/control/state.ts'
import { pathClockMs } from '../../src/control/threads/path-clock.ts'
import { EXIT } from '../../src/failure.ts'
import { parsePrefix, widen } from '../../src/net/prefix.ts'
import { ptrQuery, reverseOf } from '../lib/dns-query.ts'
import { TestPath } from '../lib/path.ts'
import { policy, service } from '../lib/policies.ts'
import { TestLog } from '../lib/test-log.ts'

const MINUTE = 60_000
const LIMITS = {
  source: { burst: 3, ratePerSecond: 1 / 60 },
  network: { burst: 10, ratePerSecond: 1 / 6 },
  total: undefined,
}
const SERVICES = [
  service('ssh', 22, { limits: LIMITS, ban: { strikes: 5, withinMs: 10 * MINUTE } }),
  service('web', 80, { limits: LIMITS, mode: 'shadow', ban: { strikes: 5, withinMs: MINUTE } }),
  service('dns', 53, { limits: LIMITS }),
  service('names', 5353, {
    dns: true,
    limits: LIMITS,
    ports: (['udp', 'tcp'] as const).map((protocol) => ({ protocol, first: 5353, last: 5353 })),
  }),
  service('mail', 25, {
    limits: { ...LIMITS, known: { burst: 50, ratePerSecond: 1 } },
    failures: { tries: 5, forgetMs: 30 * MINUTE },
  }),
]
const SWEEP = { names: 30, partial: 16, withinMs: MINUTE, source: LIMITS.source, network: LIMITS.network }

function setUp() {
  const running = policy(SERVICES, { dns: { sweep: SWEEP } })
  const clock = { nowMs: 1000 }
  const now = () => clock.nowMs
  const { log } = new TestLog()
  const path = new TestPath(running)
  const sets = new MemoryBanSets(100, now)
  const bans = (mode: 'enforce' | 'shadow') =>
    new Bans({
      mode,
      sets,
      policy: { ...running.ban, jitter: 0 },
      log,
      onBanned: () => {},
      now,
      random: () => 0,
    })
  const state = {
    policy: running,
    allow: new AllowList(),
    enforced: bans('enforce'),
    watched: bans('shadow'),
    holds: new Holds({ sets, log, now }),
    proofs: new Proofs(running.ban.proofWindowMs, now),
    evidence: new Evidence({
      trust: new Trust({
        policy: running.trust!,
        known: path.known,
        slotOf: (name) => path.slots.slotOf(name),
        now,
      }),
      log,
      now,
    }),
    servers: new SshServers({ policy: () => running, log, now, listeners: () => [] }),
    panic: { mark: undefined, isOnDisk: false, saidMs: 0 } as PanicState,
    slots: path.slots,
    threads: path.threads,
    now,
  } satisfies ExplainState
  const of = (address: string) => explain(state, { address })
  const serviceOf = (address: string, name: string) =>
    of(address).services.find((each) => each.name === name)!
  /** Attempts just now, of which the burst passes. */
  const attempt = (count: number, from: string, port: number) =>
    path.accepted(count, { from, port }, pathClockMs())
  const punish = (address: string, serviceName: string, which: 'enforced' | 'watched' = 'enforced') =>
    state[which].punish([
      { source: parsePrefix(address), service: serviceName, reason: '5 strikes', proof: 'none' },
    ])
  const session = (from: string, outcome: Outcome, tries = 1) => {
    const address = parsePrefix(from)
    const source = widen(address, address.family === 4 ? 32 : 64)
    const volume = { packets: 20, bytes: 3514 }
    const volumes = { toServer: volume, toClient: volume, isKnown: false }
    const about = { source, address, service: 'mail', durationMs: 3100, hasTimestamps: true, ...volumes }
    state.evidence.take(about, outcome, tries, running)
  }
  return { state, clock, of, serviceOf, attempt, punish, session, path }
}

describe('explain', () => {
  test('a stranger passes everywhere', () => {
    const report = setUp().of('198.51.100.7')
    expect(report).toMatchObject({
      address: '198.51.100.7',
      source: '198.51.100.7',
      network: '198.51.100.0/24',
      allowed: null,
      bans: [],
      offences: null,
    })
    for (const { next } of report.services) expect(next).toEqual({ verdict: 'accept', obstacles: [] })
  })

  test('an IPv6 address is counted as its /64', () => {
    expect(setUp().of('2001:db8:7:1::7')).toMatchObject({
      address: '2001:db8:7:1::7',
      source: '2001:db8:7:1::/64',
      network: '2001:db8:7::/48',
    })
    expect(setUp().of('2001:db8:7:1::/64').source).toBe('2001:db8:7:1::/64')
  })

  test.each(['198.51.100.0/24', '2001:db8::/48', 'example.org'])('%s is refused', (address) => {
    expect(() => setUp().of(address)).toThrow(expect.objectContaining({ status: EXIT.usage }))
  })

  test('an empty bucket refuses until a token has grown, and its strikes are counted', () => {
    const { attempt, serviceOf } = setUp()
    attempt(5, '198.51.100.7', 22)
    const { strikes, next, buckets } = serviceOf('198.51.100.7', 'ssh')
    expect(strikes).toMatchObject({ count: 2, needed: 5, windowSeconds: 600 })
    expect(next).toMatchObject({ verdict: 'drop', obstacles: [{ by: 'source' }] })
    expect(next.obstacles[0]!.seconds).toBeGreaterThan(40)
    expect(next.obstacles[0]!.seconds).toBeLessThanOrEqual(60)
    expect(buckets.map(({ kind }) => kind)).toEqual(['source', 'network'])
    expect(Math.floor(buckets[0]!.tokens)).toBe(0)
    expect(serviceOf('198.51.100.7', 'dns').next.verdict).toBe('accept')
    // A neighbour shares the network's bucket, and has one of his own.
    expect(serviceOf('198.51.100.8', 'ssh').next.verdict).toBe('accept')
    expect(Math.floor(serviceOf('198.51.100.8', 'ssh').buckets[1]!.tokens)).toBe(7)
  })

  test('in shadow mode it would be refused, and passes', () => {
    const { attempt, serviceOf } = setUp()
    attempt(5, '198.51.100.7', 80)
    expect(serviceOf('198.51.100.7', 'web').next).toMatchObject({
      verdict: 'shadow',
      obstacles: [{ by: 'source' }],
    })
  })

  test('a ban counts for its service, one of all ports for each', () => {
    const { punish, serviceOf, of, clock } = setUp()
    punish('198.51.100.7', 'ssh')
    expect(serviceOf('198.51.100.7', 'ssh').next.obstacles).toEqual([{ by: 'ban', seconds: 600 }])
    expect(serviceOf('198.51.100.7', 'dns').next.obstacles).toEqual([])
    expect(of('198.51.100.7')).toMatchObject({
      bans: [{ prefix: '198.51.100.7', scope: 'ssh', offence: 1, reason: '5 strikes' }],
      offences: { count: 1 },
    })
    for (let i = 0; i < 2; i++) {
      clock.nowMs += 60 * MINUTE
      punish('198.51.100.7', 'ssh')
    }
    expect(serviceOf('198.51.100.7', 'dns').next.verdict).toBe('drop')
  })

  test('a ban on paper and a ban by a person both tell, in shadow mode', () => {
    const { state, punish, serviceOf } = setUp()
    punish('198.51.100.7', 'web', 'watched')
    expect(serviceOf('198.51.100.7', 'web').next.verdict).toBe('shadow')
    state.enforced.banManually(parsePrefix('198.51.100.8'), 'web', MINUTE, 'by hand')
    expect(serviceOf('198.51.100.8', 'web').next.verdict).toBe('drop')
  })

  test('in a panic everything passes', () => {
    const { state, attempt, of } = setUp()
    attempt(5, '198.51.100.7', 22)
    state.panic.mark = { since: new Date('2026-01-01T00:00:00Z'), reason: 'locked out' }
    const report = of('198.51.100.7')
    expect(report.panic).toMatchObject({ since: '2026-01-01T00:00:00.000Z', reason: 'locked out' })
    expect(report.services.every(({ next }) => next.verdict === 'accept')).toBe(true)
    expect(formatExplanation(report)).toMatch(/^PANIC since 2026/)
  })

  test('a held network holds its sources', () => {
    const { state, serviceOf } = setUp()
    state.holds.hold('dns', 4, 'enforce', [parsePrefix('198.51.100.0/24')])
    expect(serviceOf('198.51.100.7', 'dns').next).toEqual({
      verdict: 'drop',
      obstacles: [{ by: 'hold', seconds: 1 }],
    })
  })

  test('who is on the allow list passes with an empty bucket and a ban around him', () => {
    const { state, attempt, of, punish } = setUp()
    attempt(5, '198.51.100.7', 22)
    punish('198.51.100.0/24', 'ssh')
    state.allow.set('policy', [{ prefix: parsePrefix('198.51.100.7'), origin: 'policy', reason: 'mine' }])
    const report = of('198.51.100.7')
    expect(report.allowed).toMatchObject({ prefix: '198.51.100.7', reason: 'mine' })
    expect(report.bans).toHaveLength(1)
    expect(report.services.every(({ next }) => next.verdict === 'accept')).toBe(true)
  })
})

test('shows what the reverse names of a source look like', () => {
  const { path, of } = setUp()
  expect(of('198.51.100.7').reverseNames).toEqual({ source: null, network: null })
  for (let n = 0; n < 60; n++) {
    const payload = ptrQuery(reverseOf(0xc6120000 + n))
    path.send({ from: '198.51.100.7', port: 5353, protocol: 'udp', payload }, pathClockMs())
  }
  const report = of('198.51.100.7')
  expect(report.reverseNames).toMatchObject({
    source: { kind: 'sequential', near: 1, within: 1, meanDistance: 1, partial: 0 },
    // Of a network, four times as many names make a sweep.
    network: { kind: 'none', near: 1 },
  })
  const line = /^198\.51\.100\.7 +\d+ +0 +100 % +100 % +1\.0 +sequential sweep$/m
  expect(formatExplanation(report)).toMatch(line)
  expect(formatExplanation(of('198.51.100.8'))).toMatch(/^198\.51\.100\.0\/24 +\d+ .* no sweep$/m)
  expect(formatExplanation(of('203.0.113.8'))).not.toContain('REVERSE NAMES')
})

test('shows the buckets of DNS queries, and those of DNS over TCP', () => {
  const { path, of } = setUp()
  const dns = (address: string) =>
    of(address).dnsBuckets.map(({ of: kind, service, buckets }) => {
      return [kind, service, Math.floor(buckets[0]!.tokens + 1e-3)]
    })
  const full = [
    ['tcp', 'names', 3],
    ['reverse', null, 1e6],
    ['malformed', null, 1e6],
  ]
  expect(dns('198.51.100.7')).toEqual(full)
  const now = pathClockMs()
  for (let i = 0; i < 2; i++) path.send({ from: '198.51.100.7', port: 5353 }, now)
  expect(dns('198.51.100.7')).toEqual([['tcp', 'names', 1], ...full.slice(1)])
  expect(formatExplanation(of('198.51.100.7'))).toMatch(/^names\/tcp +source +1 of 3 /m)
  // A walker has those that it is held to.
  for (let n = 0; n < 60; n++) {
    const payload = ptrQuery(reverseOf(0xc6120000 + n))
    path.send({ from: '203.0.113.9', port: 5353, protocol: 'udp', payload }, now)
  }
  expect(dns('203.0.113.9').at(-1)).toEqual(['sweep', null, 0])
  expect(formatExplanation(of('203.0.113.9'))).toMatch(/^dns sweep +source +0 of 3 /m)
})

describe('evidence', () => {
  const [ADDRESS, SOURCE] = ['2001:db8:7:1::7', '2001:db8:7:1::/64']

  test('handshakes are told with those that a ban needs', () => {
    const { state, serviceOf } = setUp()
    state.proofs.add(parsePrefix('198.51.100.7'))
    expect(serviceOf('198.51.100.7', 'ssh').evidence.handshakes).toEqual({ count: 1, needed: 0 })
    Object.assign(state.policy.ban, { proof: 'handshake' })
    expect(serviceOf('198.51.100.7', 'ssh').evidence.handshakes).toEqual({ count: 1, needed: 2 })
    expect(serviceOf('198.51.100.8', 'ssh').evidence.handshakes).toEqual({ count: 0, needed: 2 })
  })

  test('failed logins of the /64, and its last five sessions with what they came to', () => {
    const { of, serviceOf, session, clock } = setUp()
    session('2001:db8:7:1::99', 'unclear')
    for (let i = 0; i < 3; i++) session(ADDRESS, 'unclear')
    session('2001:db8:7:1::8', 'failed', 3)
    session(ADDRESS, 'failed')
    clock.nowMs += MINUTE
    const { failures, trust } = serviceOf(ADDRESS, 'mail').evidence
    expect(failures).toEqual({ tries: 4, needed: 5, nextForgottenInSeconds: 29 * 60, forgivable: 20 })
    expect(trust).toBeNull()
    expect(serviceOf(ADDRESS, 'ssh').evidence).toMatchObject({ failures: null, trust: null })
    const { sessions } = of(SOURCE)
    expect(sessions.map(({ address, outcome, tries }) => [address, outcome, tries])).toEqual([
      ...Array.from({ length: 3 }, () => [ADDRESS, 'unclear', null]),
      ['2001:db8:7:1::8', 'failed', 3],
      [ADDRESS, 'failed', 1],
    ])
    expect(sessions[0]).toMatchObject({ service: 'mail', durationSeconds: 3.1, toServer: { packets: 20 } })
    expect(of('2001:db8:7:2::7').sessions).toEqual([])
  })

  test('trust, while it lasts and after', () => {
    const { serviceOf, session, clock } = setUp()
    session(ADDRESS, 'succeeded')
    expect(serviceOf(ADDRESS, 'mail').evidence.trust).toMatchObject({ isKnownGood: true, successes: 1 })
    clock.nowMs += 61 * MINUTE
    expect(serviceOf(ADDRESS, 'mail').evidence.trust).toMatchObject({ isKnownGood: false, successes: 1 })
  })

  test('in words', () => {
    const { of, session, clock } = setUp()
    session(ADDRESS, 'succeeded')
    session(ADDRESS, 'failed', 2)
    clock.nowMs += MINUTE
    const text = formatExplanation(of(ADDRESS))
    expect(text).toMatch(
      /^mail +0, none needed for a ban +2 of 5, one forgotten in 29m +for 59m \(1 login, the last 1m ago\)$/m,
    )
    expect(text).toMatch(/^ssh +0, none needed for a ban +not counted +no$/m)
    expect(text).toMatch(
      /^1m ago +mail +2001:db8:7:1::7 +failed, 2 tries +3s +20 packets, 3514 bytes +20 packets, 3514 bytes$/m,
    )
  })
})

test('an explanation in words', () => {
  const { attempt, punish, of } = setUp()
  attempt(5, '198.51.100.7', 22)
  punish('198.51.100.7', 'ssh')
  const text = formatExplanation(of('198.51.100.7'))
  expect(text).toContain('198.51.100.7: counted by itself, and with its network 198.51.100.0/24')
  expect(text).toMatch(
    /^banned: 198\.51\.100\.7 from ssh\n {2}why {4}5 strikes, offence 1\n {2}proof {2}none/m,
  )
  expect(text).toMatch(/^ {2}ends {3}in 10m, at \S+; "sluice bans remove 198\.51\.100\.7" lifts it$/m)
  expect(text).toContain('offences remembered: 1, the last 0s ago; forgotten in 4w 2d')
  expect(text).toMatch(/^ssh +source +0 of 3 +1 a minute +in \S+ +in \S+/m)
  expect(text).toMatch(/^ssh +2 of 5, forgotten in \S+ +is refused \(banned, source limit\); clear in 10m$/m)
  expect(text).toMatch(/^dns +no bans +passes$/m)
})
