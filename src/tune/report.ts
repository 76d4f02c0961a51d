import type { Limit } from '../config/policy.ts'
import { formatRate } from '../config/values.ts'
import { formatPrefix } from '../net/prefix.ts'
import type { LimitKind } from '../path/compile.ts'
import { notesOf } from '../replay/notes.ts'
import type { ReplayFacts } from '../replay/replay.ts'
import { type CurvePoint, isQuick } from './curve.ts'
import { attackNotes, honestNotes, serviceNotes } from './notes.ts'
import type { Passage } from './passages.ts'
import type { Basis } from './propose.ts'
import { policySnippet } from './snippet.ts'
import type { TunedAttack, TunedService, Tuning } from './tune.ts'

/** Everything that tuning found out: the answer of `sluice tune --json`. */
export interface TuneReport {
  /** Of honest sources that were to be let through, 0 to 1. */
  readonly share: number
  readonly honest: CaptureReport
  /** Those of the policy, in its order. */
  readonly services: readonly ServiceReport[]
  readonly attacks: readonly AttackReport[]
  /** A policy file of the services that limits are proposed for; `null` when there is none. */
  readonly yaml: string | null
}

export interface CaptureReport {
  readonly files: readonly string[]
  readonly packets: number
  readonly seconds: number
  readonly local: readonly string[]
  readonly isLocalInferred: boolean
  /** What a person must know to trust the rest, in sentences. */
  readonly notes: readonly string[]
}

export interface ServiceReport {
  readonly service: string
  /** Honest ones. */
  readonly sources: number
  /** How many of them make the wanted share. */
  readonly wanted: number
  /** How many the proposed policy lets through whole, and how many it bans. */
  readonly letThrough: number
  readonly banned: number
  readonly limits: readonly LimitReport[]
  /** What the wanted share of sources needs at each rate. */
  readonly curve: readonly CurveRow[]
  readonly notes: readonly string[]
}

/** As a policy file has it. */
export interface LimitText {
  readonly burst: number
  readonly rate: string
}

interface LimitReport {
  readonly limit: LimitKind
  readonly now: LimitText | null
  readonly proposed: LimitText | null
  readonly basis: Basis
}

export interface CurveRow extends LimitText {
  readonly anHour: number
  readonly refillSeconds: number
  /** Whether the bucket is full again in time to be proposed. */
  readonly isQuick: boolean
  readonly isProposed: boolean
}

export interface AttackReport extends CaptureReport {
  /** All sources of each service together. */
  readonly services: readonly PassageRow[]
  /** Those that got most on top. */
  readonly sources: readonly PassageRow[]
}

/** What an attack still gets. Times count from its own first attempt. */
export interface PassageRow {
  readonly service: string
  /** `*`: all of them. */
  readonly source: string
  readonly sources: number
  readonly attempts: number
  readonly accepted: number
  /** Over the time that it lasted, or over one minute when it was shorter. */
  readonly attemptsAMinute: number
  readonly acceptedAMinute: number
  readonly refusedAfterSeconds: number | null
  readonly bannedAfterSeconds: number | null
}

export function reportOf(tuning: Tuning, share: number): TuneReport {
  const { honest, services, attacks } = tuning
  const report = captureReport(honest)
  return {
    share,
    honest: { ...report, notes: [...report.notes, ...honestNotes(tuning)] },
    services: services.map((each) => serviceReport(each, share)),
    attacks: attacks.map(attackReport),
    yaml: policySnippet(tuning, share),
  }
}

function captureReport(facts: ReplayFacts): CaptureReport {
  return {
    files: facts.files.map(({ file }) => file),
    packets: facts.files.reduce((sum, { packets }) => sum + packets, 0),
    seconds: seconds(facts.elapsedMs),
    local: facts.local.map(formatPrefix),
    isLocalInferred: facts.inference !== undefined,
    notes: notesOf(facts),
  }
}

function serviceReport(tuned: TunedService, share: number): ServiceReport {
  const { service, curve, best, limits, letThrough, banned } = tuned
  return {
    service: service.name,
    sources: curve.buckets,
    wanted: curve.covered,
    letThrough,
    banned,
    limits: limits.map(({ kind, now, limit, basis }) => {
      return { limit: kind, now: limitText(now), proposed: limitText(limit), basis }
    }),
    curve: curve.points.map((point) => curveRow(point, point === best)),
    notes: serviceNotes(tuned, share),
  }
}

function limitText(limit: Limit | undefined): LimitText | null {
  return limit === undefined ? null : { burst: limit.burst, rate: formatRate(limit.ratePerSecond) }
}

function curveRow(point: CurvePoint, isProposed: boolean): CurveRow {
  const { burst, ratePerSecond, anHour, refillSeconds } = point
  return {
    burst,
    rate: formatRate(ratePerSecond),
    anHour,
    refillSeconds,
    isQuick: isQuick(point),
    isProposed,
  }
}

function attackReport({ facts, passages }: TunedAttack): AttackReport {
  const report = captureReport(facts)
  return {
    ...report,
    notes: [...report.notes, ...attackNotes(passages)],
    services: [...passages.services.values()].map(passageRow).sort(compareRows),
    sources: passages.sources.map(passageRow).sort(compareRows),
  }
}

function passageRow(passage: Passage): PassageRow {
  const { service, source, sources, attempts, accepted, firstMs, lastMs, refusedMs, bannedMs } = passage
  const minutes = Math.max(1, (lastMs - firstMs) / 60_000)
  return {
    service,
    source,
    sources,
    attempts,
    accepted,
    attemptsAMinute: Math.round((attempts / minutes) * 10) / 10,
    acceptedAMinute: Math.round((accepted / minutes) * 10) / 10,
    refusedAfterSeconds: refusedMs === undefined ? null : seconds(refusedMs - firstMs),
    bannedAfterSeconds: bannedMs === undefined ? null : seconds(bannedMs - firstMs),
  }
}

/** To the microsecond: beyond that, it is the noise of doubles. */
function seconds(ms: number): number {
  return Math.round(ms * 1000) / 1e6
}

function compareRows(a: PassageRow, b: PassageRow): number {
  return b.accepted - a.accepted || compareText(a.service, b.service) || compareText(a.source, b.source)
}

/** By code unit: the same order on every machine. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
