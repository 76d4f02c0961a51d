import type { Mode } from '../config/policy.ts'
import type { Ban } from '../control/bans/ban.ts'
import { formatPrefix, SOURCE_BITS } from '../net/prefix.ts'
import { sourcePrefix } from '../path/source-ring.ts'
import { type BucketKey, bucketKey, sourceBucketKey } from '../replay/bucket-records.ts'
import type { BanCause, Judgement, Observer } from '../replay/observer.ts'
import { Recent } from './recent.ts'

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

/** Follows every source through a replay, but for those on the allow list, which no limit holds up. */
export class Passages implements Observer {
  /** By service: all its sources together. */
  readonly services = new Map<string, Passage>()
  /** Attempts from the allow list. */
  allowed = 0
  readonly #sources = new Recent<BucketKey, Passage>()

  judged(judgement: Judgement): void {
    const { attempt, verdict, reason } = judgement
    if (reason === 'allow-list') {
      this.allowed++
      return
    }
    for (const passage of this.#passagesOf(judgement)) {
      passage.attempts++
      passage.lastMs = attempt.nowMs
      if (verdict === 'accept') passage.accepted++
      else passage.refusedMs ??= attempt.nowMs
    }
  }

  banned({ prefix, startMs }: Ban, _mode: Mode, { service, slot }: BanCause): void {
    const passages = [this.services.get(service.name)]
    // A network has no passage of its own.
    if (prefix.length === SOURCE_BITS[prefix.family])
      passages.push(this.#sources.peek(sourceBucketKey(prefix, slot)))
    for (const passage of passages) if (passage !== undefined) passage.bannedMs ??= startMs
  }

  /** Those remembered. */
  get sources(): Passage[] {
    return [...this.#sources]
  }

  /** Sources that did not fit into memory: they are in `services` only. */
  get forgotten(): number {
    return this.#sources.forgotten
  }

  #passagesOf(judgement: Judgement): [source: Passage, service: Passage] {
    const { name } = judgement.service
    const service = this.services.get(name) ?? begin('*', judgement)
    this.services.set(name, service)
    const source = this.#sources.find(bucketKey('source', judgement), () => {
      service.sources++
      const { family, sourceHigh, sourceLow } = judgement.attempt.view
      return { ...begin(formatPrefix(sourcePrefix(family, sourceHigh, sourceLow)), judgement), sources: 1 }
    })
    return [source, service]
  }
}

function begin(source: string, { attempt: { nowMs }, service }: Judgement): Passage {
  return {
    source,
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
