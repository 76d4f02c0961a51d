import type { Policy, Service } from '../config/policy.ts'
import type { Prefix } from '../net/prefix.ts'
import type { LimitKind } from '../path/compile.ts'
import { Engine } from '../replay/engine.ts'
import type { Observer } from '../replay/observer.ts'
import { type ReplayFacts, type ReplayOptions, replay } from '../replay/replay.ts'
import { bestPoint, type Curve, type CurvePoint, demandCurve } from './curve.ts'
import { type DemandRecord, Demands } from './demands.ts'
import { Passages } from './passages.ts'
import { enforcedWith, keepLimits, type LimitProposal, limitsOf, proposeLimits } from './propose.ts'

/** Fewer sources say nothing about all strangers together. */
export const LEAST_SOURCES = 20
/** Fewer networks with several honest sources say nothing about how many share one. */
export const LEAST_SHARED_NETWORKS = 5

/** How often each honest capture is read. */
export const HONEST_PASSES = 3

export interface TuneOptions extends Pick<ReplayOptions, 'onPause' | 'onEnd'> {
  /** Captures of honest traffic, in the order of time: one timeline. */
  readonly honest: readonly string[]
  /** Captures of attacks, each a timeline of its own. */
  readonly attacks: readonly string[]
  /** Its services are tuned; its ban settings and allow list hold. */
  readonly policy: Policy
  /** Of honest sources that are let through, 0 to 1. */
  readonly share: number
  /** As in `ReplayOptions`. */
  readonly local: readonly Prefix[] | undefined
}

/** What came of one service. */
export interface TunedService {
  readonly service: Service
  /** Demand of its honest sources. */
  readonly curve: Curve
  /** The source limit; `undefined` when no honest source came, or no policy can hold what they need. */
  readonly best: CurvePoint | undefined
  /** Without `best`: the limits as they are. */
  readonly limits: readonly LimitProposal[]
  /** Honest sources under the proposed policy: let through whole, and banned. */
  readonly letThrough: number
  readonly banned: number
}

/** What became of one attack capture under the proposed policy. */
export interface TunedAttack {
  readonly file: string
  readonly facts: ReplayFacts
  readonly passages: Passages
}

export interface Tuning {
  readonly honest: ReplayFacts
  readonly services: readonly TunedService[]
  readonly attacks: readonly TunedAttack[]
  /** Attempts from the allow list in the honest captures, left out of everything. */
  readonly allowed: number
  /** Honest sources and networks that did not fit into memory, and were not counted. */
  readonly forgotten: number
}

/**
 * Proposes limits from honest traffic, and tries them on attacks. Everything goes through the engine of
 * `replay`, so an attempt here is what it is to the daemon.
 *
 * 1. Without limits: the demand curve of each honest source, and from these the source limit (`bestPoint`).
 * 2. With source limits: the demand on networks and services, by what the source limits let through, since
 *    an attempt takes its tokens from all three buckets or from none. An outlier that its own limit stops
 *    thus does not widen the limits that he shares with others.
 * 3. With all limits: how many honest sources do get through. The wider limits hold all that step 2 saw,
 *    so they refuse nobody whom the source limit lets through.
 *
 * @throws Failure as `replay` does
 */
export async function tune(options: TuneOptions): Promise<Tuning> {
  const { policy, honest, attacks, local, onPause, onEnd } = options
  const pass: Pass = (files, limitsFor, observers, isWhole = false) => {
    const engines = [new Engine(enforcedWith(policy, limitsFor, isWhole), observers)]
    return replay({ files, engines, local, ...(onPause && { onPause }), ...(onEnd && { onEnd }) })
  }
  // What a step has measured is let go before the next one.
  const chosen = await chooseSourceLimits(options, pass)
  const { limits, forgotten } = await chooseOtherLimits(options, pass, chosen)
  const proposed: LimitsFor = (service) => limitsOf(limits(service))
  const { allowed, fateOf } = await countLetThrough((passages) => pass(honest, proposed, [passages], true))
  return {
    honest: chosen.facts,
    services: policy.services.map((service) => {
      return { service, ...chosen.of(service), limits: limits(service), ...fateOf(service) }
    }),
    attacks: await tryAttacks(attacks, (file, passages) => pass([file], proposed, [passages], true)),
    allowed,
    forgotten: chosen.forgotten + forgotten,
  }
}

/** Replays `files` without the limits of the policy, but with those that `limitsFor` says. */
type Pass = (
  files: readonly string[],
  limitsFor: LimitsFor,
  observers: readonly Observer[],
  isWhole?: boolean,
) => Promise<ReplayFacts>

/** What step 1 has found out. */
interface Chosen {
  readonly facts: ReplayFacts
  readonly of: (service: Service) => Pick<TunedService, 'curve' | 'best'>
  readonly forgotten: number
}

async function chooseSourceLimits({ policy, share, honest }: TuneOptions, pass: Pass): Promise<Chosen> {
  const sources = new Demands('source')
  const facts = await pass(honest, () => NO_LIMITS, [sources])
  const of = byName(policy, ({ name }) => {
    const curve = demandCurve(sources.of(name), share, facts.elapsedMs / 1000)
    return { curve, best: bestPoint(curve) }
  })
  return { facts, of, forgotten: sources.forgotten }
}

async function chooseOtherLimits({ policy, honest }: TuneOptions, pass: Pass, { facts, of }: Chosen) {
  const networks = new Demands('network')
  const totals = new Demands('total', policy.services.length)
  await pass(honest, (service) => ({ ...NO_LIMITS, source: of(service).best }), [networks, totals])
  const needed = (demands: readonly DemandRecord[]) =>
    bestPoint(demandCurve(demands, 1, facts.elapsedMs / 1000))
  const limits = byName(policy, (service): readonly LimitProposal[] => {
    const { curve, best } = of(service)
    if (best === undefined) return keepLimits(service)
    const ofNetworks = networks.of(service.name)
    return proposeLimits(service, {
      source: best,
      network: needed(ofNetworks),
      total: needed(totals.of(service.name)),
      known: knownKinds(curve, ofNetworks),
    })
  })
  return { limits, forgotten: networks.forgotten }
}

type LimitsFor = (service: Service) => Service['limits']

const NO_LIMITS: Service['limits'] = { source: undefined, network: undefined, total: undefined }

/** The kinds of limits of which there is enough honest traffic to say something. */
function knownKinds({ buckets }: Curve, networks: readonly DemandRecord[]): Set<LimitKind> {
  const known = new Set<LimitKind>(['source'])
  if (networks.filter(({ isShared }) => isShared).length >= LEAST_SHARED_NETWORKS) known.add('network')
  if (buckets >= LEAST_SOURCES) known.add('total')
  return known
}

/** Works `answer` out once for each service, and gives it back by the service's name. */
function byName<Answer>(policy: Policy, answer: (service: Service) => Answer) {
  const answers = new Map(policy.services.map((service) => [service.name, answer(service)]))
  return ({ name }: Service): Answer => answers.get(name)!
}

/** What becomes of the honest sources in `pass`. */
async function countLetThrough(pass: (passages: Passages) => Promise<ReplayFacts>) {
  const passages = new Passages()
  await pass(passages)
  const fates = new Map<string, { letThrough: number; banned: number }>()
  for (const { service, attempts, accepted, bannedMs } of passages.sources) {
    const fate = fates.get(service) ?? { letThrough: 0, banned: 0 }
    fates.set(service, fate)
    if (attempts === accepted) fate.letThrough++
    if (bannedMs !== undefined) fate.banned++
  }
  const fateOf = ({ name }: Service) => fates.get(name) ?? { letThrough: 0, banned: 0 }
  return { allowed: passages.allowed, fateOf }
}

async function tryAttacks(
  files: readonly string[],
  pass: (file: string, passages: Passages) => Promise<ReplayFacts>,
): Promise<TunedAttack[]> {
  const attacks: TunedAttack[] = []
  for (const file of files) {
    const passages = new Passages()
    attacks.push({ file, facts: await pass(file, passages), passages })
  }
  return attacks
}
