import type { LimitKind } from '../path/compile.ts'
import { type BucketKey, bucketKey } from '../replay/bucket-records.ts'
import type { Judgement, Observer } from '../replay/observer.ts'
import { Envelope } from './envelope.ts'
import { Recent } from './recent.ts'

/**
 * How many times the demand seen a limit lets through. A source: half as much again, since no capture shows
 * the busiest day. A network and the whole service: more, since these limits refuse the innocent, and an
 * attacker who uses them up locks everybody out.
 */
export const MARGINS: Readonly<Record<LimitKind, number>> = { source: 1.5, network: 3, total: 10 }

/** What one bucket was asked for, and granted. */
export interface DemandRecord {
  readonly service: string
  readonly envelope: Envelope
  /** The source that drew first. */
  readonly first: BucketKey
  /** Another has drawn, too. */
  isShared: boolean
}

/** Measures what the accepted attempts take from buckets of one kind. The allow list draws from none. */
export class Demands implements Observer {
  readonly #kind: LimitKind
  readonly #demands = new Recent<BucketKey, DemandRecord>()

  constructor(kind: LimitKind) {
    this.#kind = kind
  }

  judged(judgement: Judgement): void {
    if (judgement.reason !== 'within-limit') return
    const source = bucketKey('source', judgement)
    const demand = this.#demands.find(this.#keyOf(judgement), () => ({
      service: judgement.service.name,
      envelope: new Envelope(MARGINS[this.#kind]),
      first: source,
      isShared: false,
    }))
    if (demand.first !== source) demand.isShared = true
    demand.envelope.draw(judgement.attempt.elapsedMs)
  }

  of(service: string): DemandRecord[] {
    return [...this.#demands].filter((demand) => demand.service === service)
  }

  /** Buckets that did not fit into memory. */
  get forgotten(): number {
    return this.#demands.forgotten
  }

  #keyOf(judgement: Judgement): BucketKey {
    return this.#kind === 'total' ? judgement.slot : bucketKey(this.#kind, judgement)
  }
}
