import type { Policy } from '../config/policy.ts'
import { modeOf } from '../control/state.ts'
import type { BucketRecord } from './bucket-record.ts'
import { isoTime } from './iso-time.ts'
import type { Moment } from './moment.ts'
import type { Outcome } from './outcome.ts'
import type { At, BanRow, BucketRow, QueryRow, RefusedSource, ServiceRow, SourceSessions } from './rows.ts'
import { compareText, Ranking, type Rows, RowsOnDemand } from './rows-on-demand.ts'

/** A bucket is close to empty from this share of its burst on. */
const CLOSE = 0.8

/** Of sources, of networks, and of all strangers. */
const KINDS = 3

export function serviceRows(outcome: Outcome): ServiceRow[] {
  const { policy } = outcome
  return policy.services.map((service, slot) => {
    const { reasons, ...totals } = outcome.totalsOf(slot)
    const sorted = [...reasons].sort(([a], [b]) => compareText(a, b))
    return {
      service: service.name,
      mode: modeOf(policy, service),
      ...totals,
      reasons: Object.fromEntries(sorted),
    }
  })
}

/** Buckets as people want to see them listed. */
interface BucketLists {
  /** Those that refused, those that refused most on top. */
  readonly limited: Rows<BucketRow>
  /** Those that refused nothing and were used up nearly, the emptiest on top. */
  readonly close: Rows<BucketRow>
  /** Sources whose DNS queries broke a rule of the section `dns`, those that were refused most on top. */
  readonly queries: Rows<QueryRow>
}

/** The lists of all buckets that are remembered, which are looked at one after the other. */
export function bucketLists(outcome: Outcome): BucketLists {
  const { policy } = outcome
  const records = new AllRecords(outcome)
  const [limited, close, queries] = [new Ranking(), new Ranking(), new Ranking()]
  for (const number of records.numbers()) {
    const record = records.at(number)
    if (record.refused > 0) limited.add(number, -record.refused)
    else if (isClose(record)) close.add(number, -record.burstNeeded / (record.limit?.burst ?? 0))
    if (record.kind === 'source' && record.refusedNarrowly > 0) queries.add(number, -record.refusedNarrowly)
  }
  const textOf = (number: number) => {
    const { kind, service, who } = records.at(number)
    return `${kind} ${service.name} ${who}`
  }
  const rowOf = (number: number) => bucketRow(policy, records.at(number))
  return {
    limited: new RowsOnDemand(limited.order(textOf), rowOf),
    close: new RowsOnDemand(close.order(textOf), rowOf),
    queries: new RowsOnDemand(
      queries.order((number) => records.at(number).who),
      (number) => queryRow(policy, records.at(number)),
    ),
  }
}

/** Sources that any limit refused, in the order of time. */
export function refusedSources({ sources }: Outcome): RowsOnDemand<number, RefusedSource> {
  const refused = new Ranking()
  for (const number of sources.numbers()) {
    const first = firstRefusal(sources.at(number))
    if (first !== undefined) refused.add(number, at(first).afterSeconds)
  }
  const order = refused.order((number) => {
    const { who, service } = sources.at(number)
    return `${who} ${service.name}`
  })
  return new RowsOnDemand(order, (number) => refusedSource(sources.at(number)))
}

/** Sources with sessions, those with most failed ones on top. */
export function sessionRows({ sessions }: Outcome): Rows<SourceSessions> {
  const records = [...sessions].sort(
    (a, b) =>
      b.failed - a.failed ||
      b.succeeded - a.succeeded ||
      b.unclear - a.unclear ||
      compareText(`${a.service} ${a.source}`, `${b.service} ${b.source}`),
  )
  return new RowsOnDemand(records, (record) => ({
    ...record,
    first: at(record.first),
    last: at(record.last),
  }))
}

/** Bans, in the order of time. */
export function banRows({ bans }: Outcome): BanRow[] {
  return bans.map(({ start, offence = null, ...ban }) => ({ ...ban, offence, ...at(start) }))
}

/** All buckets that are remembered, each under a number of its own. */
class AllRecords {
  readonly #outcome: Outcome
  readonly #totals: readonly BucketRecord[]

  constructor(outcome: Outcome) {
    this.#outcome = outcome
    this.#totals = outcome.totalRecords()
  }

  *numbers(): Generator<number> {
    const { sources, networks } = this.#outcome
    for (const number of sources.numbers()) yield KINDS * number
    for (const number of networks.numbers()) yield KINDS * number + 1
    for (const number of this.#totals.keys()) yield KINDS * number + 2
  }

  at(number: number): BucketRecord {
    const [kind, place] = [number % KINDS, Math.floor(number / KINDS)]
    if (kind === 2) return this.#totals[place]!
    return (kind === 0 ? this.#outcome.sources : this.#outcome.networks).at(place)
  }
}

function isClose({ kind, banned, limit, burstNeeded }: BucketRecord): boolean {
  // A ban from all ports may be what kept a source below the limit of this service.
  if (kind === 'source' && banned > 0) return false
  return limit !== undefined && burstNeeded >= limit.burst * CLOSE
}

function queryRow(policy: Policy, record: BucketRecord): QueryRow {
  const { who, service, attempts, refusedNarrowly: refused, firstNarrowly, narrowReason: reason } = record
  const mode = modeOf(policy, service)
  return {
    source: who,
    service: service.name,
    mode,
    reason: reason!,
    attempts,
    refused,
    first: at(firstNarrowly!),
  }
}

function refusedSource(record: BucketRecord): RefusedSource {
  const { who, service, attempts, accepted, banned } = record
  const refused = record.refused + record.refusedByOthers
  const first = at(firstRefusal(record)!)
  return { source: who, service: service.name, attempts, accepted, refused, banned, first }
}

function firstRefusal({ firstRefusal, firstRefusalByOthers }: BucketRecord): Moment | undefined {
  return earlier(firstRefusal, firstRefusalByOthers)
}

function bucketRow(policy: Policy, record: BucketRecord): BucketRow {
  return {
    who: record.who,
    service: record.service.name,
    mode: modeOf(policy, record.service),
    limit: record.kind,
    attempts: record.attempts,
    accepted: record.accepted,
    refused: record.refused,
    refusedByOthers: record.refusedByOthers,
    retransmissions: record.retransmissions,
    banned: record.banned,
    burst: record.limit?.burst ?? 0,
    burstNeeded: record.burstNeeded,
    firstRefusal: record.firstRefusal === undefined ? null : at(record.firstRefusal),
    lastRefusal: record.lastRefusal === undefined ? null : at(record.lastRefusal),
    peak: record.peak === undefined ? null : at(record.peak),
  }
}

/** Seconds to the microsecond: beyond that, it is the noise of doubles. */
function at({ timeMs, elapsedMs }: Moment): At {
  return { at: isoTime(timeMs), afterSeconds: Math.round(elapsedMs * 1000) / 1e6 }
}

function earlier(a: Moment | undefined, b: Moment | undefined): Moment | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a.elapsedMs <= b.elapsedMs ? a : b
}
