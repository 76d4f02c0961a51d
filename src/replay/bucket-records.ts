import { LRUCache } from 'lru-cache'
import type { Service } from '../config/policy.ts'
import type { Family, Prefix } from '../net/prefix.ts'
import { networkBits } from '../path/limits.ts'
import { sourceKey } from '../path/source-ring.ts'
import { BucketRecord, REFUSING_LIMIT, type Sight } from './bucket-record.ts'
import type { Judgement } from './engine.ts'
import { FirstSights, type SightKey } from './first-sights.ts'

/** Names a source or network at a service in a Map: a number for IPv4, text for IPv6. */
export type BucketKey = number | string

/**
 * Records of sources, or of networks, in bounded memory. Those worth reporting are kept for good, as many
 * as fit; of the others, the one not seen for longest is forgotten. So a flood from a million forged
 * addresses, each seen once, does not wash out the one that was banned before it.
 */
export class BucketRecords {
  readonly #kind: 'source' | 'network'
  readonly #services: readonly Service[]
  readonly #kept = new Map<BucketKey, BucketRecord>()
  readonly #others: LRUCache<BucketKey, BucketRecord>
  readonly #firsts: FirstSights
  #forgotten = 0

  /** @param most how many are kept for good, and as many others, and of those seen only once */
  constructor(kind: 'source' | 'network', services: readonly Service[], most: number) {
    this.#kind = kind
    this.#services = services
    this.#firsts = new FirstSights(most)
    this.#others = new LRUCache({
      max: most,
      dispose: (_record, _key, why) => {
        if (why === 'evict') this.#forgotten++
      },
    })
  }

  /** Records forgotten for others; a source that comes back then counts anew. */
  get forgotten(): number {
    return this.#forgotten + this.#firsts.forgotten
  }

  /** Records the attempt. */
  add(judgement: Judgement): void {
    const key = sightKey(this.#kind, judgement)
    const id = idOf(key)
    const record = this.#kept.get(id) ?? this.#others.get(id) ?? this.#again(key)
    const { reason, attempt } = judgement
    const sight: Sight = { reason, timeMs: attempt.timeMs, elapsedMs: attempt.elapsedMs }
    if (record === undefined && reason !== 'banned' && REFUSING_LIMIT[reason] !== this.#kind) {
      this.#firsts.add(key, sight)
    } else {
      this.#count(id, record ?? this.#create(key), sight)
    }
  }

  /** The record of the attempt's source or network and its service, which `add` has been told of. */
  find(judgement: Judgement): BucketRecord {
    const key = sightKey(this.#kind, judgement)
    const id = idOf(key)
    return this.#kept.get(id) ?? this.#others.get(id) ?? this.#again(key) ?? this.#create(key)
  }

  /** All that are remembered. */
  *[Symbol.iterator](): Generator<BucketRecord> {
    yield* this.#kept.values()
    yield* this.#others.values()
    for (const [key, sight] of this.#firsts) {
      const record = this.#recordOf(key)
      record.add(sight)
      yield record
    }
  }

  #count(id: BucketKey, record: BucketRecord, sight: Sight): void {
    const wasNotable = record.isNotable
    record.add(sight)
    if (wasNotable || !record.isNotable || this.#kept.size >= this.#others.max) return
    this.#others.delete(id)
    this.#kept.set(id, record)
  }

  /** The record of one who was seen once. */
  #again(key: SightKey): BucketRecord | undefined {
    const first = this.#firsts.take(key)
    if (first === undefined) return undefined
    const record = this.#create(key)
    record.add(first)
    return record
  }

  #create(key: SightKey): BucketRecord {
    const record = this.#recordOf(key)
    this.#others.set(idOf(key), record)
    return record
  }

  #recordOf({ high, low, tag }: SightKey): BucketRecord {
    return new BucketRecord(
      this.#kind,
      this.#services[(tag & 0xff) >> 1]!,
      (tag & 1) === 1 ? 6 : 4,
      high,
      low,
    )
  }
}

/** The key of the source or network of an attempt, and of its service. */
export function bucketKey(kind: 'source' | 'network', judgement: Judgement): BucketKey {
  return idOf(sightKey(kind, judgement))
}

/** The key that `bucketKey` has for a source of that `prefix`, at the service in that place of the policy. */
export function sourceBucketKey(prefix: Prefix, slot: number): BucketKey {
  const { high, low } = sourceKey(prefix)
  return idOf({ high, low, tag: tagOf(slot, prefix.family) })
}

function sightKey(kind: 'source' | 'network', { attempt: { view }, slot }: Judgement): SightKey {
  const low = kind === 'source' ? view.sourceLow : networkBits(view)
  return { high: view.sourceHigh, low, tag: tagOf(slot, view.family) }
}

function tagOf(slot: number, family: Family): number {
  return 0x100 | (slot << 1) | (family === 6 ? 1 : 0)
}

function idOf({ high, low, tag }: SightKey): BucketKey {
  return (tag & 1) === 0 ? low * 0x200 + tag : `${high} ${low} ${tag}`
}
