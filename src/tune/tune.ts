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
  const { policy, share, honest, attacks, local, onPause, onEnd } = options
  const pass = (
    files: readonly string[],
    limitsFor: LimitsFor,
    observers: readonly Observer[],
    isWhole = false,
  ) => {
    const engines = [new Engine(enforcedWith(policy, limitsFor, isWhole), observers)]
    return replay({ files, engines, local, ...(onPause && { onPause }), ...(onEnd && { onEnd }) })
  }

  const sources = new Demands('source')
  const facts = await pass(honest, () => NO_LIMITS, [sources])
  const curveOf = (demands: Demands, { name }: Service, wanted: number) =>
    demandCurve(demands.of(name), wanted, facts.elapsedMs / 1000)
  const chosen = byName(policy, (service) => {
    const curve = curveOf(sources, service, share)
    return { curve, best: bestPoint(curve) }
  })

  const networks = new Demands('network')
  const totals = new Demands('total')
  await pass(honest, (service) => ({ ...NO_LIMITS, source: chosen(service).best }), [networks, totals])
  const limits = byName(policy, (service): LimitProposal[] => {
    const { curve, best } = chosen(service)
    if (best === undefined) return keepLimits(service)
    return proposeLimits(service, {
      source: best,
      network: bestPoint(curveOf(networks, service, 1)),
      total: bestPoint(curveOf(totals, service, 1)),
      known: knownKinds(curve, networks.of(service.name)),
    })
  })

  const proposed: LimitsFor = (service) => limitsOf(limits(service))
  const check = new Passages()
  await pass(honest, proposed, [check], true)
  return {
    honest: facts,
    services: policy.services.map((service) => {
      return { service, ...chosen(service), limits: limits(service), ...fateOf(service, check) }
    }),
    attacks: await tryAttacks(attacks, (file, passages) => pass([file], proposed, [passages], true)),
    allowed: check.allowed,
    forgotten: sources.forgotten + networks.forgotten,
  }
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

/** What became of the honest sources of `service`. */
function fateOf({ name }: Service, { sources }: Passages): Pick<TunedService, 'letThrough' | 'banned'> {
  const seen = sources.filter(({ service }) => service === name)
  return {
    letThrough: seen.filter(({ attempts, accepted }) => attempts === accepted).length,
    banned: seen.filter(({ bannedMs }) => bannedMs !== undefined).length,
  }
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
