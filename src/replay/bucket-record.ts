import type { Limit, Service } from '../config/policy.ts'
import { formatPrefix, widen } from '../net/prefix.ts'
import type { LimitKind } from '../path/compile.ts'
import { sourcePrefix } from '../path/source-ring.ts'
import { Demand } from './demand.ts'
import type { ReplayReason } from './engine.ts'
import type { Moment } from './moment.ts'

/** An attempt, as far as a record counts it. */
export interface Sight extends Moment {
  readonly reason: ReplayReason
}

/** The limit that each reason for a refusal names. */
export const REFUSING_LIMIT: Partial<Record<ReplayReason, LimitKind>> = {
  'source-limit': 'source',
  'network-limit': 'network',
  'total-limit': 'total',
  // The bucket of a source known good is its own, too.
  'known-limit': 'source',
}

/** Reasons for which an attempt is let through. */
const ACCEPTING: ReadonlySet<ReplayReason> = new Set(['within-limit', 'known-good', 'cut-short'])

/** Reasons of limits that are narrower than those of the service, which no record is of. */
const NARROWER: ReadonlySet<ReplayReason> = new Set([
  'malformed-query',
  'reverse-limit',
  'sweep',
  'reverse-flood',
])

/**
 * What counts as demand on each kind of bucket: attempts that took a token of it, or were refused for want
 * of one. Of a source, also what its ban dropped: that is the sender's doing alone.
 */
const DRAWS: Readonly<Record<LimitKind, ReadonlySet<ReplayReason>>> = {
  source: new Set(['within-limit', 'cut-short', 'source-limit', 'known-good', 'known-limit', 'banned']),
  network: new Set(['within-limit', 'cut-short', 'network-limit']),
  total: new Set(['within-limit', 'cut-short', 'total-limit']),
}

/** What one bucket of a service saw: that of a source, of a network, or of all strangers. */
export class BucketRecord {
  attempts = 0
  accepted = 0
  /** Attempts that this very bucket refused. */
  refused = 0
  /** Attempts that another bucket refused. */
  refusedByOthers = 0
  /** Refused SYNs that were sent again. */
  retransmissions = 0
  /** Attempts that a ban dropped. */
  banned = 0
  firstRefusal: Moment | undefined
  firstRefusalByOthers: Moment | undefined
  lastRefusal: Moment | undefined
  /** When the demand was highest. */
  peak: Moment | undefined
  readonly demand = new Demand()
  readonly kind: LimitKind
  readonly service: Service
  readonly #family: 4 | 6
  readonly #high: number
  readonly #low: number
  #who: string | undefined

  /** @param high, low the path's two numbers for the source, or for any source of the network */
  constructor(kind: LimitKind, service: Service, family: 4 | 6, high: number, low: number) {
    this.kind = kind
    this.service = service
    this.#family = family
    this.#high = high
    this.#low = low
  }

  get limit(): Limit | undefined {
    return this.service.limits[this.kind]
  }

  /** Whose bucket it is: a source, a network, or `*`. */
  get who(): string {
    this.#who ??= this.kind === 'total' ? '*' : this.#formatted()
    return this.#who
  }

  /** Whether this bucket refused its owner, or a ban fell on him. */
  get isNotable(): boolean {
    return this.refused > 0 || (this.kind === 'source' && this.banned > 0)
  }

  add({ reason, timeMs, elapsedMs }: Sight): void {
    this.attempts++
    if (DRAWS[this.kind].has(reason)) this.#draw(timeMs, elapsedMs)
    const limit = REFUSING_LIMIT[reason]
    if (ACCEPTING.has(reason)) this.accepted++
    else if (reason === 'retransmission') this.retransmissions++
    else if (reason === 'banned') this.banned++
    else if (limit === this.kind) this.#refuse(timeMs, elapsedMs)
    else if (limit !== undefined || NARROWER.has(reason)) {
      this.refusedByOthers++
      this.firstRefusalByOthers ??= { timeMs, elapsedMs }
    }
  }

  #draw(timeMs: number, elapsedMs: number): void {
    if (this.limit === undefined) return
    if (this.demand.draw(elapsedMs, this.limit.ratePerSecond)) this.peak = { timeMs, elapsedMs }
  }

  #refuse(timeMs: number, elapsedMs: number): void {
    this.refused++
    this.lastRefusal = { timeMs, elapsedMs }
    this.firstRefusal ??= this.lastRefusal
  }

  #formatted(): string {
    const source = sourcePrefix(this.#family, this.#high, this.#low)
    return formatPrefix(this.kind === 'source' ? source : widen(source, this.#family === 4 ? 24 : 48))
  }
}
