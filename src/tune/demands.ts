import { networkBits } from '../path/bucket-keys.ts'
import type { LimitKind } from '../path/compile.ts'
import { BucketIndex } from '../replay/bucket-index.ts'
import { slotOf, tagOf } from '../replay/bucket-records.ts'
import type { Judgement, Observer } from '../replay/observer.ts'
import { Envelope } from './envelope.ts'

/**
 * How many times the demand seen a limit lets through. A source: half as much again, since no capture shows
 * the busiest day. A network and the whole service: more, since these limits refuse the innocent, and an
 * attacker who uses them up locks everybody out.
 */
export const MARGINS: Readonly<Record<LimitKind, number>> = { source: 1.5, network: 3, total: 10 }

/** Of sources, and of networks. */
const MOST = 65_536

/** The words of a row: the key of the source that drew first, and whether another has drawn, too. */
const HIGH = 0
const LOW = 1
const TAG = 2
const SHARED = 3
const WORDS = 4

/** What one bucket was asked for, and granted. */
export interface DemandRecord {
  readonly envelope: Envelope
  /** More than one source has drawn. */
  readonly isShared: boolean
}

/**
 * Measures what the accepted attempts take from buckets of one kind. The allow list draws from none. Of more than
 * fit, the one that nobody has drawn from for longest is forgotten, and comes back as a new one.
 */
export class Demands implements Observer {
  readonly #kind: LimitKind
  readonly #index: BucketIndex
  readonly #numbers: Float64Array
  readonly #words: Int32Array
  /** By place in the policy. */
  readonly #services: string[] = []

  constructor(kind: LimitKind, most = MOST) {
    this.#kind = kind
    this.#index = new BucketIndex(most)
    this.#numbers = new Float64Array(most * Envelope.NUMBERS)
    this.#words = new Int32Array(most * WORDS)
  }

  judged(judgement: Judgement): void {
    if (judgement.reason !== 'within-limit') return
    const { attempt, slot } = judgement
    const { view } = attempt
    const row = this.#rowOf(judgement)
    const words = this.#words
    const at = row * WORDS
    const isFirst =
      words[at + HIGH] === view.sourceHigh &&
      words[at + LOW] === view.sourceLow &&
      words[at + TAG] === tagOf(slot, view.family)
    if (!isFirst) words[at + SHARED] = 1
    this.#envelopeOf(row).draw(attempt.elapsedMs)
  }

  of(service: string): DemandRecord[] {
    const found: DemandRecord[] = []
    for (const row of this.#index) {
      if (this.#services[slotOf(this.#index.keyOf(row).tag)] !== service) continue
      found.push({ envelope: this.#envelopeOf(row), isShared: this.#words[row * WORDS + SHARED] === 1 })
    }
    return found
  }

  /** Buckets that did not fit into memory. */
  get forgotten(): number {
    return this.#index.forgotten
  }

  #rowOf({ attempt: { view }, service, slot }: Judgement): number {
    const kind = this.#kind
    const high = kind === 'total' ? 0 : view.sourceHigh
    const low = kind === 'total' ? 0 : kind === 'source' ? view.sourceLow : networkBits(view)
    const tag = tagOf(slot, kind === 'total' ? 4 : view.family)
    const known = this.#index.find(high, low, tag)
    if (known >= 0) return known
    this.#services[slot] = service.name
    const row = this.#index.insert(high, low, tag)
    this.#numbers.fill(0, row * Envelope.NUMBERS, (row + 1) * Envelope.NUMBERS)
    this.#words.set([view.sourceHigh, view.sourceLow, tagOf(slot, view.family), 0], row * WORDS)
    return row
  }

  #envelopeOf(row: number): Envelope {
    return new Envelope(MARGINS[this.#kind], this.#numbers, row * Envelope.NUMBERS)
  }
}
