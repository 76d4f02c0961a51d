import { beforeEach, describe, expect, test } from 'vitest'
import type { Limit, Mode } from '../../src/config/policy.ts'
import { AllowList } from '../../src/control/allow/allow-list.ts'
import { Bans } from '../../src/control/bans/bans.ts'
import { MemoryBanSets } from '../../src/control/bans/memory-ban-sets.ts'
import { judgePromotions, judgeProven, type PromotionState } from '../../src/control/bans/promotions.ts'
import { Suspects } from '../../src/control/bans/suspects.ts'
import { Evidence } from '../../src/control/evidence/evidence.ts'
import { handshakesNeeded, Proofs } from '../../src/control/sessions/proofs.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { ServiceSlots } from '../../src/path/service-slots.ts'
import type { HandedOver } from '../../src/path/source-ring.ts'
import { policy, service } from '../lib/policies.ts'

const MINUTE = 60_000
const SOURCE = parsePrefix('203.0.113.7')
let nowMs: number
const now = () => nowMs
beforeEach(() => {
  nowMs = 1
})

describe('proofs', () => {
  test('handshakes of a source count for half of the window at least, and for the whole at most', () => {
    const proofs = new Proofs(10 * MINUTE, now)
    nowMs = 4 * MINUTE
    proofs.add(SOURCE)
    proofs.add(SOURCE)
    nowMs = 9 * MINUTE
    expect(proofs.count(SOURCE)).toBe(2)
    proofs.add(SOURCE)
    expect(proofs.count(SOURCE)).toBe(3)
    nowMs = 11 * MINUTE
    expect(proofs.count(SOURCE)).toBe(1)
    nowMs = 15 * MINUTE
    expect(proofs.count(SOURCE)).toBe(0)
    proofs.add(SOURCE)
    expect(proofs.count(SOURCE)).toBe(1)
    expect(proofs.count(parsePrefix('203.0.113.8'))).toBe(0)
  })

  test('a million sources leave 65,536', () => {
    const proofs = new Proofs(10 * MINUTE, now)
    for (let i = 0; i < 70_000; i++) {
      proofs.add({ family: 4, bytes: Uint8Array.of(10, i >> 16, (i >> 8) & 255, i & 255), length: 32 })
    }
    expect(proofs.size).toBe(65_536)
    expect(proofs.count(parsePrefix('10.0.0.0'))).toBe(0)
    expect(proofs.count(parsePrefix('10.1.17.111'))).toBe(1)
  })
})

test.each<[string, Limit | undefined, number]>([
  ['half of the burst', { burst: 20, ratePerSecond: 1 }, 10],
  ['rounded up', { burst: 3, ratePerSecond: 1 }, 2],
  ['of what half a window lets through, if that is less', { burst: 20, ratePerSecond: 2 / 60 }, 5],
  ['at least one', { burst: 20, ratePerSecond: 1 / 86_400 }, 1],
  ['one, where no limit of the source refuses', undefined, 1],
])('so many handshakes are needed: %s', (_, source, needed) => {
  const limits = { ...service('ssh', 22).limits, source }
  expect(handshakesNeeded(service('ssh', 22, { limits }), 10 * MINUTE)).toBe(needed)
})

describe('suspects', () => {
  const offence = (name: string) => ({
    source: SOURCE,
    service: name,
    reason: 'x',
    proof: 'handshake' as const,
  })

  test('are remembered for ten seconds, one offence for each service, and counted', () => {
    const suspects = new Suspects(now)
    suspects.add(offence('ssh'))
    suspects.add(offence('smtp'))
    suspects.add(offence('ssh'))
    expect(suspects.of(SOURCE).map((each) => each.service)).toEqual(['smtp', 'ssh'])
    expect([suspects.count('ssh'), suspects.count('smtp'), suspects.count('dns')]).toEqual([2, 1, 0])
    suspects.delete(SOURCE, 'smtp')
    expect(suspects.of(SOURCE)).toHaveLength(1)
    nowMs += 10_000
    expect(suspects.of(SOURCE)).toEqual([])
  })
})

describe('an offender', () => {
  const ATTACKER = parsePrefix('203.0.113.9')

  /** A host whose ssh lets three attempts through, so that two handshakes are a proof. */
  function host(proof: 'handshake' | 'none', allowed: readonly string[] = []) {
    const limits = { ...service('ssh', 22).limits, source: { burst: 3, ratePerSecond: 1 } }
    const ssh = service('ssh', 22, { limits, ban: { strikes: 2, withinMs: MINUTE } })
    const rules = policy([ssh], { ban: { ...policy([]).ban, proof } })
    const log = { debug() {}, info() {}, warn() {}, error() {} }
    const create = (mode: Mode) =>
      new Bans({
        mode,
        sets: new MemoryBanSets(100, now),
        policy: rules.ban,
        log,
        onBanned: () => {},
        now,
        random: () => 0,
      })
    const allow = new AllowList()
    allow.set(
      'policy',
      allowed.map((each) => ({ prefix: parsePrefix(each), origin: 'policy', reason: 'mine' })),
    )
    const slots = new ServiceSlots()
    slots.update(['ssh'])
    const drained: HandedOver[] = []
    const state: PromotionState = {
      policy: rules,
      allow,
      slots,
      log,
      enforced: create('enforce'),
      watched: create('shadow'),
      threads: { drainPromotions: () => drained.splice(0) },
      proofs: new Proofs(rules.ban.proofWindowMs, now),
      suspects: new Suspects(now),
      evidence: new Evidence({ trust: undefined, log, now }),
    }
    return {
      state,
      offend() {
        drained.push({ source: ATTACKER, serviceSlot: slots.slotOf('ssh'), detail: 2, atMs: nowMs })
        return judgePromotions(state)
      },
      bans: () => state.enforced.ledger.list().map((ban) => ban.proof),
    }
  }

  test('who has completed enough handshakes is banned for it', () => {
    const { state, offend, bans } = host('handshake')
    judgeProven(state, [ATTACKER, ATTACKER])
    expect(offend()).toBe(0)
    expect(bans()).toEqual(['handshake'])
  })

  test('whose proof comes a moment after the offence is banned then', () => {
    const { state, offend, bans } = host('handshake')
    expect(offend()).toBe(1)
    judgeProven(state, [ATTACKER])
    expect(bans()).toEqual([])
    nowMs += 2000
    judgeProven(state, [ATTACKER])
    expect(bans()).toEqual(['handshake'])
    // And only once.
    judgeProven(state, [ATTACKER])
    expect(state.enforced.given).toMatchObject([{ count: 1 }])
  })

  test('whose proof comes too late has to offend again', () => {
    const { state, offend, bans } = host('handshake')
    offend()
    nowMs += 10_000
    judgeProven(state, [ATTACKER, ATTACKER])
    expect(bans()).toEqual([])
    expect(offend()).toBe(0)
    expect(bans()).toEqual(['handshake'])
  })

  test('who is put on the allow list meanwhile is not banned', () => {
    const { state, offend, bans } = host('handshake')
    offend()
    state.allow.set('runtime', [{ prefix: ATTACKER, origin: 'runtime', reason: 'mine' }])
    judgeProven(state, [ATTACKER, ATTACKER])
    expect(bans()).toEqual([])
  })

  test('needs no handshake where the policy asks for none', () => {
    const { offend, bans } = host('none')
    expect(offend()).toBe(0)
    expect(bans()).toEqual(['none'])
  })
})
