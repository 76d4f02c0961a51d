import { describe, expect, test } from 'vitest'
import { AllowList } from '../../src/control/allow/allow-list.ts'
import { policyEntries } from '../../src/control/allow/never-ban.ts'
import { Bans } from '../../src/control/bans/bans.ts'
import { MemoryBanSets } from '../../src/control/bans/memory-ban-sets.ts'
import type { PardonState } from '../../src/control/bans/pardon.ts'
import { judgePromotions } from '../../src/control/bans/promotions.ts'
import { liftShadowed } from '../../src/control/bans/shadowed.ts'
import { Suspects } from '../../src/control/bans/suspects.ts'
import { Evidence } from '../../src/control/evidence/evidence.ts'
import { Trust } from '../../src/control/evidence/trust.ts'
import { addAllowed, listAllowed, removeAllowed } from '../../src/control/requests/allow-requests.ts'
import { addBan, listBans, removeBan } from '../../src/control/requests/ban-requests.ts'
import { forgetLearned, type LearnedState, listLearned } from '../../src/control/requests/learned-requests.ts'
import { Proofs } from '../../src/control/sessions/proofs.ts'
import type { BanState } from '../../src/control/state.ts'
import { pathClockMs } from '../../src/control/threads/path-clock.ts'
import { EXIT } from '../../src/failure.ts'
import { Firewall } from '../../src/firewall/firewall.ts'
import { parsePrefix, widen } from '../../src/net/prefix.ts'
import { ServiceSlots } from '../../src/path/service-slots.ts'
import type { HandedOver } from '../../src/path/source-ring.ts'
import { TestPath } from '../lib/path.ts'
import { policy, service } from '../lib/policies.ts'
import { TestLog } from '../lib/test-log.ts'

const ONE_AN_HOUR = { source: { burst: 1, ratePerSecond: 1 / 3600 }, network: undefined, total: undefined }
const BANNABLE = { ban: { strikes: 5, withinMs: 60_000 } }

function setUp() {
  const clock = { nowMs: 1000 }
  const now = () => clock.nowMs
  const { log, lines } = new TestLog()
  const running = policy(
    [
      service('ssh', 22, {
        ...BANNABLE,
        limits: ONE_AN_HOUR,
        failures: { tries: 5, forgetMs: 1_800_000 },
      }),
      service('web', 80, { ...BANNABLE, mode: 'shadow' }),
      service('dns', 53),
    ],
    { allow: [parsePrefix('192.0.2.0/24')] },
  )
  const bans = (mode: 'enforce' | 'shadow') =>
    new Bans({
      mode,
      sets: new MemoryBanSets(100, now),
      policy: { ...running.ban, jitter: 0 },
      log,
      onBanned: () => {},
      now,
      random: () => 0,
    })
  const allow = new AllowList()
  allow.set('policy', policyEntries(running))
  allow.set('host', [{ prefix: parsePrefix('fd00::1'), origin: 'host', reason: 'gateway' }])
  const path = new TestPath(running)
  const slotOf = (service: string) => path.slots.slotOf(service)
  const state = {
    slots: path.slots,
    threads: path.threads,
    configFile: '/etc/sluice/sluice.yaml',
    policy: running,
    log,
    // Without `up` it touches nothing.
    firewall: new Firewall(running),
    allow,
    enforced: bans('enforce'),
    watched: bans('shadow'),
    evidence: new Evidence({
      trust: new Trust({ policy: running.trust!, known: path.known, slotOf, now }),
      log,
      now,
    }),
    now,
  } satisfies PardonState & LearnedState
  return { state: state as { -readonly [Key in keyof State]: State[Key] }, clock, lines, path }
}

type State = PardonState & LearnedState & { readonly evidence: Evidence }

function refusal(attempt: () => unknown): unknown {
  try {
    attempt()
  } catch (error) {
    return error
  }
  throw new Error('it was not refused')
}

describe('bans add', () => {
  test('bans as long, from what and why it is told', () => {
    const { state, clock } = setUp()
    const request = {
      op: 'bans add',
      prefix: '203.0.113.0/24',
      seconds: 7200,
      service: 'ssh',
      reason: 'noise',
    } as const
    expect(addBan(state, request)).toMatchObject({
      ban: { prefix: '203.0.113.0/24', scope: 'ssh', secondsLeft: 7200, origin: 'manual', reason: 'noise' },
      notes: [],
    })
    clock.nowMs += 7_200_000
    expect(listBans(state)).toEqual([])
  })

  test('by default from all ports, as long as a first offence', () => {
    const { state } = setUp()
    const { ban } = addBan(state, { op: 'bans add', prefix: '203.0.113.1' })
    expect(ban).toMatchObject({ scope: 'all', secondsLeft: 600, offence: null })
  })

  test('an IPv6 address means its /64, unless it says /128', () => {
    const { state } = setUp()
    const widened = addBan(state, { op: 'bans add', prefix: '2001:db8::5' })
    expect([widened.ban.prefix, widened.notes.length]).toEqual(['2001:db8::/64', 1])
    const exact = addBan(state, { op: 'bans add', prefix: '2001:db8::5/128' })
    expect([exact.ban.prefix, exact.notes.length]).toEqual(['2001:db8::5', 0])
  })

  test.each([
    [
      '192.0.2.7',
      EXIT.refused,
      '192.0.2.7 cannot be banned: 192.0.2.0/24 is never banned (allow list of the policy)',
    ],
    [
      '192.0.0.0/16',
      EXIT.refused,
      '192.0.0.0/16 cannot be banned: 192.0.2.0/24 is never banned (allow list of the policy)',
    ],
    ['fd00::9', EXIT.refused, 'fd00::/64 cannot be banned: fd00::1 is never banned (gateway)'],
    ['10.0.0.0/7', EXIT.refused, '10.0.0.0/7 is too wide to be banned: /8 is the widest'],
    ['2000::/15', EXIT.refused, '2000::/15 is too wide to be banned: /16 is the widest'],
    [
      '203.0.113.1/24',
      EXIT.usage,
      '"203.0.113.1/24" has bits set behind the prefix: did you mean 203.0.113.0/24?',
    ],
    [
      'example.org',
      EXIT.usage,
      '"example.org" is no IPv4 or IPv6 address or prefix, such as 192.0.2.0/24 or 2001:db8::/32',
    ],
  ])('%s is refused, and nothing has changed', (prefix, status, message) => {
    const { state } = setUp()
    expect(refusal(() => addBan(state, { op: 'bans add', prefix }))).toMatchObject({ status, message })
    expect(listBans(state)).toEqual([])
  })

  test.each([
    ['fd00::9', '"fd00::9/128" bans this one address only'],
    ['192.0.2.7/32', undefined],
  ])('the refusal of %s says what to do instead, if anything', (prefix, remedy) => {
    const { state } = setUp()
    expect(refusal(() => addBan(state, { op: 'bans add', prefix }))).toMatchObject({ remedy })
  })

  test('an unknown service is refused with those that there are', () => {
    const { state } = setUp()
    const attempt = () => addBan(state, { op: 'bans add', prefix: '203.0.113.1', service: 'shh' })
    expect(refusal(attempt)).toMatchObject({
      status: EXIT.usage,
      message: 'there is no service "shh": all, ssh, web, dns are there',
    })
  })
})

describe('bans remove', () => {
  test('lifts the bans of a source in all scopes, or in one', () => {
    const { state } = setUp()
    for (const name of ['ssh', 'web', 'all'])
      addBan(state, { op: 'bans add', prefix: '203.0.113.1', service: name })
    removeBan(state, { op: 'bans remove', prefix: '203.0.113.1', service: 'web' })
    expect(listBans(state).map(({ scope }) => scope)).toEqual(['ssh', 'all'])
    expect(removeBan(state, { op: 'bans remove', prefix: '203.0.113.1' }).lifted).toHaveLength(2)
    expect(listBans(state)).toEqual([])
  })

  test('takes the same address that was given to add', () => {
    const { state } = setUp()
    addBan(state, { op: 'bans add', prefix: '2001:db8::5' })
    expect(removeBan(state, { op: 'bans remove', prefix: '2001:db8::5' }).lifted).toHaveLength(1)
  })

  test('says which ban covers an address that has none of its own', () => {
    const { state } = setUp()
    addBan(state, { op: 'bans add', prefix: '203.0.113.0/24', seconds: 600 })
    expect(refusal(() => removeBan(state, { op: 'bans remove', prefix: '203.0.113.1' }))).toMatchObject({
      status: EXIT.refused,
      message: '203.0.113.1 itself is not banned, but 203.0.113.0/24 is, from all, with 10m left',
    })
  })

  test('refuses what is not banned', () => {
    const { state } = setUp()
    const attempt = () => removeBan(state, { op: 'bans remove', prefix: '203.0.113.1', service: 'ssh' })
    expect(refusal(attempt)).toMatchObject({
      status: EXIT.refused,
      message: '203.0.113.1 is not banned from ssh',
    })
  })
})

describe('what bans remove forgets', () => {
  const ATTACKER = '203.0.113.1'

  function strike(path: TestPath, count = 3) {
    // A bucket of one: each further attempt is a strike.
    expect(path.accepted(count + 1, { from: ATTACKER, port: 22 }, pathClockMs())).toBe(1)
  }

  test('the strikes of the source and its empty bucket, so that it is not banned again at once', () => {
    const { state, path } = setUp()
    strike(path)
    addBan(state, { op: 'bans add', prefix: ATTACKER, service: 'ssh' })
    const { cleared, lifted } = removeBan(state, { op: 'bans remove', prefix: ATTACKER })
    expect(cleared).toMatchObject({ strikes: 3, offences: 0, failedLogins: 0, sources: 1 })
    expect(lifted).toHaveLength(1)
    strike(path, 4)
    expect(path.promotions.drain()).toEqual([])
  })

  test('its offences: the next ban is a first one again', () => {
    const { state } = setUp()
    const offend = () =>
      state.enforced.punish([
        { source: parsePrefix(ATTACKER), service: 'ssh', reason: '5 strikes', proof: 'none' as const },
      ])
    offend()
    expect(removeBan(state, { op: 'bans remove', prefix: ATTACKER }).cleared.offences).toBe(1)
    offend()
    expect(listBans(state)).toMatchObject([{ offence: 1 }])
  })

  test('also of one that is not banned yet', () => {
    const { state, path } = setUp()
    strike(path)
    const { cleared, lifted } = removeBan(state, { op: 'bans remove', prefix: ATTACKER })
    expect(cleared).toMatchObject({ strikes: 3, offences: 0, sources: 1 })
    expect(lifted).toEqual([])
    const again = () => removeBan(state, { op: 'bans remove', prefix: ATTACKER })
    expect(refusal(again)).toMatchObject({ status: EXIT.refused })
  })

  /** Failed logins at ssh. */
  function fail(state: State, from: string, tries: number) {
    const address = parsePrefix(from)
    const source = widen(address, address.family === 4 ? 32 : 64)
    const volume = { packets: 20, bytes: 3514 }
    const volumes = { toServer: volume, toClient: volume, isKnown: false }
    const about = { source, address, service: 'ssh', durationMs: 3100, hasTimestamps: true, ...volumes }
    state.evidence.take(about, 'failed', tries, state.policy)
  }
  const heldFor = (state: State, from: string) =>
    state.evidence.failuresOf(parsePrefix(from), state.policy.services[0]!)?.tries

  test('failed logins, though there was nothing else', () => {
    const { state } = setUp()
    fail(state, ATTACKER, 3)
    const { cleared, lifted } = removeBan(state, { op: 'bans remove', prefix: ATTACKER })
    expect(cleared).toMatchObject({ strikes: 0, offences: 0, failedLogins: 3, sources: 1 })
    expect([lifted, heldFor(state, ATTACKER)]).toEqual([[], 0])
  })

  test.each([
    ['203.0.113.0/24', ['203.0.113.1', '203.0.113.255'], '203.0.114.1'],
    ['203.0.112.0/20', ['203.0.113.1', '203.0.127.255'], '203.0.128.1'],
    ['2001:db8:0:f0::/60', ['2001:db8:0:f0::1', '2001:db8:0:ff::1'], '2001:db8:0:ef::1'],
    ['2001:db8::/52', ['2001:db8::1', '2001:db8:0:fff::1'], '2001:db8:0:1000::1'],
  ])('all that is held against sources in %s, and nothing of others', (network, inside, outside) => {
    const { state, path } = setUp()
    for (const from of [...inside, outside]) {
      path.accepted(3, { from, port: 22 }, pathClockMs())
      fail(state, from, 2)
      state.enforced.offenders.offend(widen(parsePrefix(from), from.includes(':') ? 64 : 32))
    }
    const { cleared } = removeBan(state, { op: 'bans remove', prefix: network })
    expect(cleared).toEqual({ strikes: 4, offences: 2, failedLogins: 4, sources: 2, strikesStay: false })
    expect(removeBan(state, { op: 'bans remove', prefix: outside }).cleared).toMatchObject({
      strikes: 2,
      offences: 1,
      failedLogins: 2,
    })
  })

  test('of a wide network all but strikes, and says so', () => {
    const { state, path } = setUp()
    path.accepted(3, { from: ATTACKER, port: 22 }, pathClockMs())
    fail(state, ATTACKER, 2)
    const { cleared } = removeBan(state, { op: 'bans remove', prefix: '203.0.0.0/16' })
    expect(cleared).toEqual({ strikes: 0, offences: 0, failedLogins: 2, sources: 1, strikesStay: true })
  })

  test('who failed in a network: it is not banned for those', () => {
    const { state } = setUp()
    const networks = { sources: 3, memoryMs: 3600_000 }
    state.policy = { ...state.policy, networks }
    for (const last of [1, 2]) fail(state, `203.0.113.${last}`, 1)
    removeBan(state, { op: 'bans remove', prefix: '203.0.113.0/24' })
    fail(state, '203.0.113.3', 1)
    expect(state.evidence.countsOf('ssh').networks).toBe(0)
    for (const last of [1, 2]) fail(state, `203.0.113.${last}`, 1)
    expect(state.evidence.countsOf('ssh').networks).toBe(1)
  })

  test('nothing of other services than the one that is named', () => {
    const { state, path } = setUp()
    strike(path)
    addBan(state, { op: 'bans add', prefix: ATTACKER, service: 'web' })
    const { cleared } = removeBan(state, { op: 'bans remove', prefix: ATTACKER, service: 'web' })
    expect(cleared.strikes).toBe(0)
  })
})

describe('the allow list at runtime', () => {
  test('an entry lifts the bans in it, and tells of those around it', async () => {
    const { state } = setUp()
    addBan(state, { op: 'bans add', prefix: '203.0.113.1' })
    addBan(state, { op: 'bans add', prefix: '203.0.0.0/16' })
    const result = await addAllowed(state, { op: 'allow add', prefix: '203.0.113.0/24', reason: 'office' })
    expect(result).toMatchObject({
      entry: { prefix: '203.0.113.0/24', origin: 'runtime', reason: 'office' },
      lifted: [{ prefix: '203.0.113.1' }],
      notes: ['the ban of 203.0.0.0/16 stays in force for the rest of it'],
    })
    expect(listBans(state).map(({ prefix }) => prefix)).toEqual(['203.0.0.0/16'])
  })

  test('what was added can be removed, and banned again', async () => {
    const { state } = setUp()
    await addAllowed(state, { op: 'allow add', prefix: '203.0.113.1' })
    expect(refusal(() => addBan(state, { op: 'bans add', prefix: '203.0.113.1' }))).toMatchObject({
      status: EXIT.refused,
    })
    await removeAllowed(state, { op: 'allow remove', prefix: '203.0.113.1' })
    expect(listAllowed(state).map(({ origin }) => origin)).toEqual(['policy', 'host'])
    addBan(state, { op: 'bans add', prefix: '203.0.113.1' })
  })

  test.each([
    ['192.0.2.0/24', '192.0.2.0/24 is on the allow list of the policy'],
    ['fd00::1', 'fd00::1 cannot be taken off the allow list: gateway'],
    ['192.0.2.1', '192.0.2.1 is not on the allow list; 192.0.2.0/24 is (allow list of the policy)'],
    ['203.0.113.1', '203.0.113.1 is not on the allow list'],
  ])('%s cannot be removed', async (prefix, message) => {
    const { state } = setUp()
    const attempt = removeAllowed(state, { op: 'allow remove', prefix })
    await expect(attempt).rejects.toMatchObject({ status: EXIT.refused, message })
  })

  test('everybody cannot be allowed', async () => {
    const attempt = addAllowed(setUp().state, { op: 'allow add', prefix: '0.0.0.0/0' })
    await expect(attempt).rejects.toMatchObject({ status: EXIT.usage })
  })
})

describe('sources known good', () => {
  test('are listed, those that stay it for longest on top, and forgotten by address or network', () => {
    const { state, clock } = setUp()
    const { trust } = state.evidence
    trust!.succeed(parsePrefix('198.51.100.7'), 'ssh')
    clock.nowMs += 1_800_000
    for (const source of ['198.51.100.7', '198.51.100.8', '2001:db8::/64'])
      trust!.succeed(parsePrefix(source), 'ssh')
    const rows = listLearned(state)
    expect(rows).toMatchObject([
      { source: '198.51.100.7', service: 'ssh', successes: 2 },
      { source: '2001:db8::/64', successes: 1 },
      { source: '198.51.100.8' },
    ])
    // Each is reckoned from the wall clock by itself: they may be a millisecond apart.
    expect(Date.parse(rows[0]!.until) - Date.parse(rows[0]!.last)).toBeCloseTo(4 * 3_600_000, -2)
    expect(forgetLearned(state, { op: 'allow forget', prefix: '198.51.100.0/24' }).forgotten).toHaveLength(2)
    expect(forgetLearned(state, { op: 'allow forget', prefix: '2001:db8::7' }).forgotten).toHaveLength(1)
    expect(listLearned(state)).toEqual([])
  })

  test('cannot be forgotten where nobody is', () => {
    const { state } = setUp()
    const forget = (prefix: string) => () => forgetLearned(state, { op: 'allow forget', prefix })
    expect(refusal(forget('192.0.2.1'))).toMatchObject({
      status: EXIT.refused,
      message: 'nobody in 192.0.2.1 is known good',
    })
    expect(refusal(forget('example.org'))).toMatchObject({ status: EXIT.usage })
  })
})

describe('promotions of the path', () => {
  function promote(state: BanState, ...promotions: readonly [source: string, service: string][]) {
    const slots = new ServiceSlots()
    slots.update(state.policy.services.map(({ name }) => name))
    const drained: HandedOver[] = promotions.map(([source, name]) => ({
      source: parsePrefix(source),
      serviceSlot: slots.slotOf(name),
      detail: 5,
      atMs: 0,
    }))
    const proofs = new Proofs(state.policy.ban.proofWindowMs, state.now)
    for (const { source } of drained) proofs.add(source)
    const suspects = new Suspects(state.now)
    const evidence = new Evidence({ trust: undefined, log: state.log, now: state.now })
    judgePromotions({
      ...state,
      slots,
      threads: { drainPromotions: () => drained },
      proofs,
      suspects,
      evidence,
    })
  }

  test('are banned, in shadow mode only on paper', () => {
    const { state } = setUp()
    promote(state, ['203.0.113.1', 'ssh'], ['203.0.113.2', 'web'])
    expect(listBans(state)).toMatchObject([
      { prefix: '203.0.113.1', scope: 'ssh', mode: 'enforce', offence: 1, reason: '5 strikes within 1m' },
      { prefix: '203.0.113.2', scope: 'web', mode: 'shadow' },
    ])
  })

  test('are never banned when they are on the allow list', () => {
    const { state, lines } = setUp()
    promote(state, ['192.0.2.9', 'ssh'])
    expect(listBans(state)).toEqual([])
    expect(lines).toEqual(['debug never-ban: 192.0.2.9 is not banned from ssh: allow list of the policy'])
  })

  test('a /64 with one allowed address in it is banned: that address passes by the allow set', () => {
    const { state } = setUp()
    promote(state, ['fd00::/64', 'ssh'])
    expect(listBans(state)).toHaveLength(1)
  })

  test('of services that ban nobody, or are gone, come to nothing', () => {
    const { state } = setUp()
    promote(state, ['203.0.113.1', 'dns'])
    expect(listBans(state)).toEqual([])
  })

  test('a policy that goes over to shadow mode lifts its bans, but not those of a person', () => {
    const { state } = setUp()
    promote(state, ['203.0.113.1', 'ssh'])
    addBan(state, { op: 'bans add', prefix: '203.0.113.2', service: 'ssh' })
    expect(liftShadowed(state)).toBe(0)
    state.policy = { ...state.policy, mode: 'shadow' }
    expect(liftShadowed(state)).toBe(1)
    expect(listBans(state).map(({ prefix }) => prefix)).toEqual(['203.0.113.2'])
  })
})
