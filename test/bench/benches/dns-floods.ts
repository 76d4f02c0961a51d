import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Sluice } from '../../lib/sluice.ts'
import type { Arena, Flood } from '../runner/arena.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { askHonestly, lookUpAsStrangers, settleClients, slips } from '../runner/dns-clients.ts'
import { reached, serveNames } from '../runner/dns-server.ts'
import type { Stage } from '../runner/stage.ts'

const POLICY = new URL('../../../rules/sluice.yaml', import.meta.url)

/** A /16 in half a minute; and what one machine sends easily. */
const SWEEP = 2000
const FLOOD = 30_000

/** Seconds of a flood from forged addresses, and so long its clients were here before: it takes up to 48. */
const FORGED = 10
const RESIDENCE = 50

interface Attack extends Flood {
  readonly isForged?: true
}

const forged = { kind: 'ptr', sources: 100_000, isForged: true } as const

const ATTACKS: Readonly<Record<string, Attack>> = {
  'PTR sweep of a /16, in order': { kind: 'ptr-walk', sources: 1, rate: SWEEP },
  'PTR sweep of a /16, at random': { kind: 'ptr', sources: 1, rate: SWEEP },
  'PTR sweep of a /16, from 64 addresses': { kind: 'ptr', sources: 64, rate: SWEEP },
  'walk of ip6.arpa': { kind: 'ip6-walk', sources: 1, rate: SWEEP },
  'PTR flood from one source': { kind: 'ptr', sources: 1, rate: FLOOD },
  'PTR flood from 100,000 forged sources': { ...forged, rate: FLOOD },
  'PTR flood from 100,000 forged sources, at full rate': forged,
  'PTR sweep of a /16 over IPv6, in order': { family: 6, kind: 'ptr-walk', sources: 1, rate: SWEEP },
  'PTR flood from one source over IPv6': { family: 6, kind: 'ptr', sources: 1, rate: FLOOD },
  'PTR flood from 100,000 forged sources over IPv6': { ...forged, family: 6, rate: FLOOD },
}

const PROTECTIONS = ['BIND alone', 'sluice', 'BIND with RRL'] as const

/** Seconds before and after a flood, and the least that one lasts: sluice has to see what it is. */
const QUIET = 1
const LEAST = 3

export const dnsFloods: Bench = {
  name: 'dns-floods',
  question: 'how many queries of a reverse-DNS flood come to BIND, and how do honest clients fare beside it?',
  metrics: {
    sentPerSecond: { unit: '/s' },
    beforePerSecond: { unit: '/s' },
    duringPerSecond: { unit: '/s', isCost: true },
    settledPerSecond: { unit: '/s', isCost: true },
    afterPerSecond: { unit: '/s' },
    forwardAnswered: { unit: '%', unitSize: 0.01 },
    reverseAnswered: { unit: '%', unitSize: 0.01 },
    reverseTruncated: { unit: '%', unitSize: 0.01, isCost: true },
    strangersAnswered: { unit: '%', unitSize: 0.01 },
    slipsPerSecond: { unit: '/s' },
    unseenPerSecond: { unit: '/s', isCost: true },
  },
  targets: ['forwardAnswered', 'reverseAnswered', 'strangersAnswered'].map((metric) => {
    return { metric, of: { contestant: 'sluice' }, atLeast: 0.99 }
  }),
  *cases(stage: Stage): Generator<Case> {
    for (const [name, attack] of Object.entries(ATTACKS)) {
      yield {
        name,
        contestants: new Map(PROTECTIONS.map((each) => [each, () => floodOnce(stage, each, attack)])),
        // What sluice has learned of one flood must not help it with the next one.
        isFresh: true,
        rounds: 2,
      }
    }
  },
}

async function floodOnce(
  stage: Stage,
  protection: (typeof PROTECTIONS)[number],
  attack: Attack,
): Promise<Figures> {
  const arena = stage.arena()
  settleClients(arena)
  await serveNames(arena, protection === 'BIND with RRL')
  const seconds = Math.max(stage.seconds, attack.isForged ? FORGED : LEAST)
  // Nobody but sluice takes notice of who was here before.
  if (protection !== 'sluice') return measure(arena, attack, seconds, QUIET)
  const sluice = await Sluice.start(arena.server, readFileSync(POLICY, 'utf8'))
  try {
    const figures = await measure(arena, attack, seconds, attack.isForged ? RESIDENCE : QUIET)
    // What came while the queue was full, and so passed it.
    const unseen = await sluice.metric('sluice_queue_bypassed_packets_total{queue="9713"}')
    return { ...figures, unseenPerSecond: unseen / seconds }
  } finally {
    await sluice.stop()
  }
}

async function measure(
  arena: Arena,
  attack: Attack,
  seconds: number,
  secondsBefore: number,
): Promise<Figures> {
  const { family = 4, isForged } = attack
  const start = reached(arena)
  await askHonestly(arena, secondsBefore, family)
  const [before, slipsBefore] = [reached(arena), slips(arena, family)]

  const flood = arena.flood({ ...attack, seconds })
  const honest = askHonestly(arena, seconds, family)
  const strangers = isForged ? lookUpAsStrangers(arena, seconds - 3, family) : undefined
  await sleep(seconds * 500)
  // The second half is what goes on for as long as the flood does: bursts are used up, and it is recognised.
  const [half, halfMs] = [reached(arena), performance.now()]
  const sent = await flood
  const [during, endMs] = [reached(arena), performance.now()]
  const { forward, reverse } = await honest
  const lookedUp = await strangers

  const [quiet, slipped] = [reached(arena), slips(arena, family) - slipsBefore]
  await askHonestly(arena, QUIET, family)
  return {
    sentPerSecond: sent.perSecond,
    beforePerSecond: (before - start) / secondsBefore,
    duringPerSecond: (during - before) / sent.seconds,
    settledPerSecond: ((during - half) * 1000) / (endMs - halfMs),
    afterPerSecond: (reached(arena) - quiet) / QUIET,
    forwardAnswered: forward.answered / forward.sent,
    reverseAnswered: reverse.answered / reverse.sent,
    reverseTruncated: reverse.truncated / reverse.sent,
    ...(lookedUp && { strangersAnswered: lookedUp.answered / lookedUp.sent }),
    slipsPerSecond: slipped / sent.seconds,
  }
}
