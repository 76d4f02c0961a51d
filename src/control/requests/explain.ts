import type { Mode, Service } from '../../config/policy.ts'
import { EXIT, Failure } from '../../failure.ts'
import { addressBits, formatPrefix, type Prefix, parsePrefix, widen } from '../../net/prefix.ts'
import type { BucketReading, SourceReading } from '../../path/bucket-reader.ts'
import { DnsSet } from '../../path/compile.ts'
import type { VerdictName } from '../../path/reasons.ts'
import type { Ban } from '../bans/ban.ts'
import { ALL_PORTS } from '../bans/escalation.ts'
import { panicRow } from '../panic.ts'
import { type DaemonState, modeOf } from '../state.ts'
import { pathClockMs } from '../threads/path-clock.ts'
import type { PathThreads } from '../threads/path-threads.ts'
import { explainEvidence, explainSessions } from './explain-evidence.ts'
import type {
  BucketExplanation,
  DnsBuckets,
  ExplainReport,
  ObstacleKind,
  OffenceMemory,
  ReverseNames,
  ServiceExplanation,
} from './explain-report.ts'
import type { Request } from './requests.ts'
import { allowRow, banRow, clockTime } from './rows.ts'

/** What of the daemon an explanation reads. */
export interface ExplainState
  extends Pick<
    DaemonState,
    | 'policy'
    | 'allow'
    | 'panic'
    | 'enforced'
    | 'watched'
    | 'holds'
    | 'slots'
    | 'proofs'
    | 'evidence'
    | 'servers'
    | 'now'
  > {
  readonly threads: Pick<PathThreads, 'bucketsOf' | 'dnsBucketsOf' | 'walksOf'>
}

interface Subject {
  readonly address: Prefix
  readonly source: Prefix
  readonly network: Prefix
}

/** Says everything that touches one address. Changes nothing. @throws Failure (usage) */
export function explain(
  state: ExplainState,
  request: Pick<Extract<Request, { op: 'explain' }>, 'address'>,
): ExplainReport {
  const subject = subjectOf(request.address)
  const allowed = state.allow.covering(subject.address)
  return {
    address: formatPrefix(subject.address),
    source: formatPrefix(subject.source),
    network: formatPrefix(subject.network),
    at: new Date().toISOString(),
    panic: panicRow(state.panic),
    allowed: allowed === undefined ? null : allowRow(allowed),
    bans: bans(state, subject),
    offences: offences(state, subject),
    reverseNames: reverseNames(state, subject),
    services: state.policy.services.map((service) => explainService(state, subject, service)),
    dnsBuckets: dnsBuckets(state, subject),
    sessions: explainSessions(state, subject.source),
  }
}

function subjectOf(text: string): Subject {
  let written: Prefix
  try {
    written = parsePrefix(text)
  } catch (error) {
    throw new Failure(EXIT.usage, (error as Error).message)
  }
  const isSource = written.family === 6 && written.length === 64
  if (written.length !== addressBits(written.family) && !isSource) {
    throw new Failure(EXIT.usage, `${text} is a network: explain takes one address, or an IPv6 /64`)
  }
  const [sourceBits, networkBits] = written.family === 4 ? [32, 24] : [64, 48]
  return { address: written, source: widen(written, sourceBits), network: widen(written, networkBits) }
}

function bans({ enforced, watched, now }: ExplainState, { address }: Subject) {
  return [enforced, watched].flatMap(({ ledger, mode }) =>
    ledger.covering(address).map((ban) => banRow(ban, mode, now())),
  )
}

function offences({ enforced, watched, now }: ExplainState, { source }: Subject): OffenceMemory | null {
  const known = enforced.offenders.find(source) ?? watched.offenders.find(source)
  if (known === undefined) return null
  const { count, lastMs, forgottenMs } = known
  return { count, last: clockTime(lastMs, now()), forgotten: clockTime(forgottenMs, now()) }
}

function reverseNames({ threads }: ExplainState, { source }: Subject): ReverseNames {
  const walks = threads.walksOf(source, pathClockMs())
  return { source: walks.source ?? null, network: walks.network ?? null }
}

/** Those of sweeps only where the source is held to them. */
function dnsBuckets({ policy, threads, slots }: ExplainState, { source }: Subject): DnsBuckets[] {
  const speakers = policy.services.filter(({ dns }) => dns)
  if (speakers.length === 0) return []
  const nowMs = pathClockMs()
  const read = (set: number) => threads.dnsBucketsOf(source, set, nowMs).map(bucket)
  const walks = threads.walksOf(source, nowMs)
  const isWalker = [walks.source, walks.network].some((walk) => walk !== undefined && walk.kind !== 'none')
  const overTcp = speakers
    .filter(({ ports }) => ports.some(({ protocol }) => protocol === 'tcp'))
    .map(({ name }) => ({ of: 'tcp', service: name, buckets: read(slots.slotOf(name)) }) as const)
  const kinds = isWalker ? (['reverse', 'malformed', 'sweep'] as const) : (['reverse', 'malformed'] as const)
  return [...overTcp, ...kinds.map((of) => ({ of, service: null, buckets: read(DnsSet[of]) }))]
}

function explainService(state: ExplainState, subject: Subject, service: Service): ServiceExplanation {
  const { slots, threads, policy } = state
  const reading = threads.bucketsOf(subject.source, slots.slotOf(service.name), pathClockMs())
  const mode = modeOf(policy, service)
  const obstacles =
    state.panic.mark !== undefined || state.allow.covering(subject.address)
      ? []
      : [
          ...banObstacles(state, subject, service),
          ...holdObstacles(state, subject, service),
          ...limitObstacles(reading),
        ]
  return {
    name: service.name,
    mode,
    buckets: reading.buckets.map(bucket),
    strikes: service.ban === undefined ? null : strikes(service.ban, reading),
    evidence: explainEvidence(state, subject.source, service),
    next: {
      verdict: verdictOn(obstacles, mode),
      obstacles: obstacles.map(({ by, seconds }) => ({ by, seconds })),
    },
  }
}

interface Obstacle {
  readonly by: ObstacleKind
  readonly seconds: number | null
  /** Shadow mode does not take it away. */
  readonly isEnforced: boolean
}

function verdictOn(obstacles: readonly Obstacle[], mode: Mode): VerdictName {
  if (obstacles.length === 0) return 'accept'
  return mode === 'enforce' || obstacles.some(({ isEnforced }) => isEnforced) ? 'drop' : 'shadow'
}

/** The ban that ends last, of those in the kernel and, in shadow mode, of those on paper. */
function banObstacles(state: ExplainState, { address }: Subject, { name }: Service): Obstacle[] {
  const isHere = ({ scope }: Ban) => scope === ALL_PORTS || scope === name
  return [state.enforced, state.watched].flatMap(({ ledger, mode }) => {
    const ends = ledger
      .covering(address)
      .filter(isHere)
      .map((ban) => ban.endMs)
    if (ends.length === 0) return []
    const leftMs = Math.max(...ends) - state.now()
    const left = Number.isFinite(leftMs) ? seconds(leftMs) : null
    return [{ by: 'ban', seconds: left, isEnforced: mode === 'enforce' } as const]
  })
}

function holdObstacles(
  { holds, now }: ExplainState,
  { source, network }: Subject,
  { name }: Service,
): Obstacle[] {
  const endMs = Math.max(...[source, network].map((prefix) => holds.endOf(name, prefix) ?? 0))
  return endMs <= now() ? [] : [{ by: 'hold', seconds: seconds(endMs - now()), isEnforced: false }]
}

function limitObstacles({ buckets }: SourceReading): Obstacle[] {
  return buckets
    .filter(({ waitMs }) => waitMs > 0)
    .map(({ kind, waitMs }) => ({ by: kind, seconds: seconds(waitMs), isEnforced: false }))
}

function strikes({ strikes: needed, withinMs }: NonNullable<Service['ban']>, reading: SourceReading) {
  return {
    count: reading.strikes,
    needed,
    windowSeconds: withinMs / 1000,
    forgottenInSeconds: seconds(reading.strikesLeftMs),
  }
}

function bucket(reading: BucketReading): BucketExplanation {
  return {
    kind: reading.kind,
    burst: reading.burst,
    ratePerSecond: reading.ratePerSecond,
    tokens: Number(reading.tokens.toFixed(3)),
    nextTokenInSeconds: seconds(reading.nextTokenMs),
    fullInSeconds: seconds(reading.fullMs),
  }
}

/** To the millisecond. */
function seconds(ms: number): number {
  return Math.ceil(ms) / 1000
}
