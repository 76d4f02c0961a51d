import type { Limit, Service } from '../config/policy.ts'
import { formatPrefix, widen } from '../net/prefix.ts'
import type { LimitKind } from '../path/compile.ts'
import { sourcePrefix } from '../path/source-ring.ts'
import type { Moment } from './moment.ts'
import type { ReplayReason } from './replay-reason.ts'

/** Doubles that add up to a whole number may miss it by this. */
const EPSILON = 1e-6

/** Of the attempts that another bucket refused, those refused by what the policy says of DNS queries alone. */
export interface NarrowCounts {
  readonly refusedNarrowly: number
  readonly firstNarrowly: Moment | undefined
  /** Why it was the first time. */
  readonly narrowReason: ReplayReason | undefined
}

/** What one bucket of a service saw: that of a source, of a network, or of all strangers. */
export interface BucketCounts extends NarrowCounts {
  readonly attempts: number
  readonly accepted: number
  /** Attempts that this very bucket refused. */
  readonly refused: number
  /** Attempts that another bucket refused. */
  readonly refusedByOthers: number
  /** Refused SYNs that were sent again. */
  readonly retransmissions: number
  /** Attempts that a ban dropped. */
  readonly banned: number
  readonly firstRefusal: Moment | undefined
  readonly firstRefusalByOthers: Moment | undefined
  readonly lastRefusal: Moment | undefined
  /** When the demand was highest. */
  readonly peak: Moment | undefined
  /** The highest demand: see `BucketRows`. */
  readonly demand: number
}

/** A bucket and what it saw, as it stood when it was asked for. */
export class BucketRecord implements BucketCounts {
  declare readonly attempts: number
  declare readonly accepted: number
  declare readonly refused: number
  declare readonly refusedByOthers: number
  declare readonly retransmissions: number
  declare readonly banned: number
  declare readonly firstRefusal: Moment | undefined
  declare readonly firstRefusalByOthers: Moment | undefined
  declare readonly lastRefusal: Moment | undefined
  declare readonly peak: Moment | undefined
  declare readonly demand: number
  declare readonly refusedNarrowly: number
  declare readonly firstNarrowly: Moment | undefined
  declare readonly narrowReason: ReplayReason | undefined
  readonly kind: LimitKind
  readonly service: Service
  readonly #family: 4 | 6
  readonly #high: number
  readonly #low: number

  /** @param high, low the path's two numbers for the source, or for any source of the network */
  constructor(
    kind: LimitKind,
    service: Service,
    family: 4 | 6,
    high: number,
    low: number,
    counts: BucketCounts,
  ) {
    this.kind = kind
    this.service = service
    this.#family = family
    this.#high = high
    this.#low = low
    Object.assign(this, counts)
  }

  get limit(): Limit | undefined {
    return this.service.limits[this.kind]
  }

  /** The burst that lets everything through, in whole tokens. */
  get burstNeeded(): number {
    return Math.ceil(this.demand - EPSILON)
  }

  /** Whose bucket it is: a source, a network, or `*`. */
  get who(): string {
    if (this.kind === 'total') return '*'
    const source = sourcePrefix(this.#family, this.#high, this.#low)
    return formatPrefix(this.kind === 'source' ? source : widen(source, this.#family === 4 ? 24 : 48))
  }
}
