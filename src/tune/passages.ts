import type { Mode } from '../config/policy.ts'
import type { Ban } from '../control/bans/ban.ts'
import { formatPrefix, SOURCE_BITS } from '../net/prefix.ts'
import { sourceKey, sourcePrefix } from '../path/source-ring.ts'
import { BucketIndex } from '../replay/bucket-index.ts'
import { familyOf, slotOf, tagOf } from '../replay/bucket-records.ts'
import type { BanCause, Judgement, Observer } from '../replay/observer.ts'

/** How far a source came at a service, or all of them together. Times are those of the capture's clock. */
export interface Passage {
  /** A source, or `*`. */
  readonly source: string
  readonly service: string
  /** 1 for a source. */
  sources: number
  attempts: number
  accepted: number
  readonly firstMs: number
  lastMs: number
  refusedMs: number | undefined
  bannedMs: number | undefined
}

/** The numbers of a source. Of the last two: NaN while there is none. */
const ATTEMPTS = 0
const ACCEPTED = 1
const FIRST_MS = 2
const LAST_MS = 3
const REFUSED_MS = 4
const BANNED_MS = 5
const NUMBERS = 6

const MOST = 65_536

/** Follows every source through a replay, but for those on the allow list, which no limit holds up. Of more than fit, whoever was seen longest ago is forgotten. */
export class Passages implements Observer {
  /** By service: all its sources together. */
  readonly services = new Map<string, Passage>()
  /** Attempts from the allow list. */
  allowed = 0
  readonly #index = new BucketIndex(MOST)
  readonly #numbers = new Float64Array(MOST * NUMBERS)
  /** By place in the policy. */
  readonly #names: string[] = []

  judged(judgement: Judgement): void {
    const { attempt, verdict, reason } = judgement
    if (reason === 'allow-list') {
      this.allowed++
      return
    }
    const { nowMs } = attempt
    const passage = this.#serviceOf(judgement)
    const numbers = this.#numbers
    const at = this.#rowOf(judgement, passage) * NUMBERS
    passage.attempts++
    passage.lastMs = nowMs
    numbers[at + ATTEMPTS]!++
    numbers[at + LAST_MS] = nowMs
    if (verdict === 'accept') {
      passage.accepted++
      numbers[at + ACCEPTED]!++
    } else {
      passage.refusedMs ??= nowMs
      if (Number.isNaN(numbers[at + REFUSED_MS])) numbers[at + REFUSED_MS] = nowMs
    }
  }

  banned({ prefix, startMs }: Ban, _mode: Mode, { service, slot }: BanCause): void {
    const passage = this.services.get(service.name)
    if (passage !== undefined) passage.bannedMs ??= startMs
    // A network has no passage of its own.
    if (prefix.length !== SOURCE_BITS[prefix.family]) return
    const { high, low } = sourceKey(prefix)
    const row = this.#index.peek(high, low, tagOf(slot, prefix.family))
    if (row < 0) return
    const at = row * NUMBERS + BANNED_MS
    if (Number.isNaN(this.#numbers[at])) this.#numbers[at] = startMs
  }

  /** Those remembered. */
  get sources(): Passage[] {
    return Array.from(this.#index, (row) => this.#passageOf(row))
  }

  /** Sources that did not fit into memory: they are in `services` only. */
  get forgotten(): number {
    return this.#index.forgotten
  }

  #serviceOf(judgement: Judgement): Passage {
    const { name } = judgement.service
    const known = this.services.get(name)
    if (known !== undefined) return known
    const passage = begin(judgement)
    this.services.set(name, passage)
    this.#names[judgement.slot] = name
    return passage
  }

  #rowOf({ attempt: { view, nowMs }, slot }: Judgement, service: Passage): number {
    const tag = tagOf(slot, view.family)
    const known = this.#index.find(view.sourceHigh, view.sourceLow, tag)
    if (known >= 0) return known
    service.sources++
    const row = this.#index.insert(view.sourceHigh, view.sourceLow, tag)
    this.#numbers.set([0, 0, nowMs, nowMs, Number.NaN, Number.NaN], row * NUMBERS)
    return row
  }

  #passageOf(row: number): Passage {
    const { high, low, tag } = this.#index.keyOf(row)
    const number = (place: number) => this.#numbers[row * NUMBERS + place]!
    const time = (ms: number) => (Number.isNaN(ms) ? undefined : ms)
    return {
      source: formatPrefix(sourcePrefix(familyOf(tag), high, low)),
      service: this.#names[slotOf(tag)]!,
      sources: 1,
      attempts: number(ATTEMPTS),
      accepted: number(ACCEPTED),
      firstMs: number(FIRST_MS),
      lastMs: number(LAST_MS),
      refusedMs: time(number(REFUSED_MS)),
      bannedMs: time(number(BANNED_MS)),
    }
  }
}

function begin({ attempt: { nowMs }, service }: Judgement): Passage {
  return {
    source: '*',
    service: service.name,
    sources: 0,
    attempts: 0,
    accepted: 0,
    firstMs: nowMs,
    lastMs: nowMs,
    refusedMs: undefined,
    bannedMs: undefined,
  }
}
