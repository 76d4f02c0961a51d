import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Policy } from '../../src/config/policy.ts'
import { rememberEvidence } from '../../src/control/store/remembered-evidence.ts'
import { Store } from '../../src/control/store/store.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { VirtualEvidence } from '../lib/evidence.ts'
import { policy, service } from '../lib/policies.ts'
import { Scratch } from '../lib/scratch.ts'
import { TestLog } from '../lib/test-log.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const [ADMIN, OTHER, GUESSER] = ['198.51.100.7', '2001:db8:7:1::7', '203.0.113.66']
const SSH = service('ssh', 22, {
  limits: {
    source: undefined,
    network: undefined,
    total: undefined,
    known: { burst: 50, ratePerSecond: 1 },
  },
  failures: { tries: 5, forgetMs: 30 * MINUTE },
})

let scratch: Scratch
let running: Host | undefined

beforeEach(() => {
  scratch = new Scratch()
})
afterEach(async () => {
  await running?.store.close()
  running = undefined
  scratch.close()
})

/** A daemon's evidence with its store. */
class Host extends VirtualEvidence {
  /** Of the wall clock; the monotonic one of each host begins at a time of its own. */
  readonly wallMs: () => number
  readonly store: Store

  constructor(policy: Policy, bootedAtMs: number) {
    super(policy)
    const now = () => this.nowMs
    this.wallMs = () => bootedAtMs + this.nowMs
    this.store = new Store({
      directory: scratch.directory,
      log: new TestLog().log,
      now,
      stamp: () => ({ epoch: `${bootedAtMs}`, monotonicMs: this.nowMs, wallMs: this.wallMs() }),
      writeMs: MINUTE,
    })
    rememberEvidence(this.store, { policy, now, evidence: this.evidence })
  }
}

/** A reboot, which takes `offMs`. */
async function boot(offMs = 0, inForce = policy([SSH])): Promise<Host> {
  const before = running
  await before?.store.close()
  const host = new Host(inForce, (before?.wallMs() ?? Date.parse('2026-01-01T00:00:00Z')) + offMs)
  host.nowMs = 0
  running = host
  await host.store.start()
  return host
}

describe('trust', () => {
  test('has the time that was left, goes on growing from there, and is known to the path', async () => {
    const first = await boot()
    first.session(ADMIN, 'succeeded')
    first.nowMs += 50 * MINUTE
    first.session(ADMIN, 'succeeded')
    first.session(OTHER, 'succeeded')
    const second = await boot(30 * MINUTE)
    expect(second.isKnown(ADMIN)).toBe(true)
    expect(second.trust.of(parsePrefix(ADMIN), 'ssh')).toEqual({
      source: parsePrefix(ADMIN),
      service: 'ssh',
      sinceMs: -80 * MINUTE,
      successes: 2,
      lastMs: -30 * MINUTE,
      termMs: 4 * HOUR,
      grownMs: -30 * MINUTE,
    })
    expect(second.known.size).toBe(3)
    second.nowMs = 30 * MINUTE - 1
    expect([second.isKnown(ADMIN), second.isKnown(OTHER)]).toEqual([true, true])
    second.nowMs = 30 * MINUTE
    expect([second.isKnown(ADMIN), second.isKnown(OTHER)]).toEqual([true, false])
    second.nowMs = 3.5 * HOUR
    expect(second.isKnown(ADMIN)).toBe(false)
    // A stranger by now, but one who has been here before.
    const third = await boot(DAY)
    expect(third.isKnown(ADMIN)).toBe(false)
    third.session(ADMIN, 'succeeded')
    expect(third.trust.of(parsePrefix(ADMIN), 'ssh')).toMatchObject({ successes: 3, termMs: 16 * HOUR })
    expect((await boot(31 * DAY)).trust.entries()).toEqual([])
  })

  test('that was lost, or taken away, stays so', async () => {
    const first = await boot()
    for (const from of [ADMIN, OTHER, GUESSER]) first.session(from, 'succeeded')
    const second = await boot()
    expect(second.trust.listed()).toHaveLength(3)
    second.trust.forget(parsePrefix(OTHER))
    for (let i = 0; i < 5; i++) second.session(GUESSER, 'failed')
    const third = await boot()
    expect(third.trust.listed()).toMatchObject([{ source: parsePrefix(ADMIN) }])
  })

  test('is of no service that asks for none any more', async () => {
    const first = await boot()
    first.session(ADMIN, 'succeeded')
    const second = await boot(0, policy([service('ssh', 22)]))
    expect(second.trust.entries()).toEqual([])
    expect((await boot()).trust.entries()).toEqual([])
  })

  test('of those who came last is kept where there is less room, and no longer than the policy says now', async () => {
    const first = await boot()
    // By address the order is another.
    for (const last of [9, 3, 7, 5]) {
      first.session(`198.51.100.${last}`, 'succeeded')
      first.nowMs += MINUTE
    }
    const trust = { firstMs: HOUR, factor: 4, longestMs: HOUR / 2, maxEntries: 2 }
    const second = await boot(0, policy([SSH], { trust }))
    const places = second.trust.entries().map(({ source, termMs }) => [source.bytes[3], termMs])
    expect(places.sort()).toEqual([
      [5, HOUR / 2],
      [7, HOUR / 2],
    ])
    second.session('198.51.100.9', 'succeeded')
    expect(second.isKnown('198.51.100.7')).toBe(false)
    expect(second.isKnown('198.51.100.5')).toBe(true)
  })
})

describe('failed logins', () => {
  test('are held against their source after a restart, and leak meanwhile', async () => {
    const first = await boot()
    for (let i = 0; i < 4; i++) first.session(GUESSER, 'failed')
    first.session(OTHER, 'failed')
    const second = await boot(40 * MINUTE)
    expect(second.evidence.failuresOf(parsePrefix(GUESSER), SSH)).toMatchObject({
      tries: 3,
      nextMs: 20 * MINUTE,
    })
    expect(second.session(GUESSER, 'failed')).toEqual([])
    expect(second.session(GUESSER, 'failed')).toEqual([GUESSER])
    const third = await boot()
    expect(third.evidence.failuresOf(parsePrefix(GUESSER), SSH)!.tries).toBe(0)
    expect([...third.evidence.failures.keys()]).toEqual([])
  })

  test('that were forgiven stay so, and no more can be forgiven for a restart', async () => {
    const first = await boot()
    for (let i = 0; i < 4; i++) first.session(ADMIN, 'failed')
    first.session(ADMIN, 'succeeded')
    const second = await boot()
    expect(second.evidence.failuresOf(parsePrefix(ADMIN), SSH)).toMatchObject({ tries: 0, forgivable: 16 })
  })

  test('of different parts of a network add up over a restart, for as long as they are remembered', async () => {
    const networks = { sources: 3, memoryMs: 6 * HOUR }
    const strict = policy([SSH], { networks })
    const first = await boot(0, strict)
    for (const part of [1, 2]) {
      first.session(`203.0.113.${part}`, 'failed')
      first.session(`198.51.100.${part}`, 'failed')
    }
    first.session('198.51.100.1', 'succeeded')
    const second = await boot(HOUR, strict)
    expect(second.session('198.51.100.3', 'failed')).toEqual([])
    expect(second.session('203.0.113.3', 'failed')).toEqual(['203.0.113.0/24'])
    const third = await boot(6 * HOUR, strict)
    expect([...third.evidence.networks.keys()]).toEqual([])
  })
})
