import { LRUCache } from 'lru-cache'
import { formatPrefix, type Prefix } from '../net/prefix.ts'

export interface OffendersOptions {
  /** Sources remembered; beyond it the one that offended longest ago is forgotten, and starts afresh. */
  readonly max: number
  readonly memoryMs: number
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** What is remembered of a source; times are monotonic milliseconds. */
export interface Offences {
  readonly count: number
  readonly lastMs: number
  readonly forgottenMs: number
}

/** How often each source has offended, as far back as `memoryMs` without an offence. */
export class Offenders {
  /** Told of each source whose record is new, changed or gone. */
  onChange: (source: string) => void = () => {}
  readonly #offences: LRUCache<string, Omit<Offences, 'forgottenMs'>>
  readonly #now: () => number

  constructor({ max, memoryMs, now }: OffendersOptions) {
    this.#offences = new LRUCache({
      max,
      ttl: memoryMs,
      ttlResolution: 0,
      perf: { now },
      dispose: (_, source) => this.onChange(source),
    })
    this.#now = now
  }

  /** Counts for offences from now on. */
  set memoryMs(ms: number) {
    this.#offences.ttl = ms
  }

  /** Remembers one more offence of `source`; returns how many that makes. */
  offend(source: Prefix): number {
    const key = formatPrefix(source)
    const count = (this.#offences.get(key)?.count ?? 0) + 1
    this.#offences.set(key, { count, lastMs: this.#now() })
    this.onChange(key)
    return count
  }

  find(source: Prefix): Offences | undefined {
    return this.read(formatPrefix(source))
  }

  /** The sources that are remembered, as text. */
  keys(): Iterable<string> {
    return this.#offences.keys()
  }

  /** Like `find`, by the text of the source. */
  read(key: string): Offences | undefined {
    const known = this.#offences.peek(key)
    return known && { ...known, forgottenMs: this.#now() + this.#offences.getRemainingTTL(key) }
  }

  /** Takes over what an earlier run has known of a source. */
  recall(source: Prefix, { count, lastMs, forgottenMs }: Offences): void {
    const key = formatPrefix(source)
    this.#offences.set(key, { count, lastMs }, { ttl: forgottenMs - this.#now() })
    this.onChange(key)
  }

  /** `source` starts afresh. */
  forget(source: Prefix): void {
    this.#offences.delete(formatPrefix(source))
  }
}
