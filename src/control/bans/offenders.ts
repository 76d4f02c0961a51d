import { formatPrefix, type Prefix } from '../../net/prefix.ts'
import { RecentMap } from '../recent-map.ts'

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
  /** Counts for offences from now on. */
  memoryMs: number
  readonly #offences: RecentMap<string, Offences>
  readonly #now: () => number

  constructor({ max, memoryMs, now }: OffendersOptions) {
    this.memoryMs = memoryMs
    this.#offences = new RecentMap(max, (source) => this.onChange(source))
    this.#now = now
  }

  /** Remembers one more offence of `source`; returns how many that makes. */
  offend(source: Prefix): number {
    const key = formatPrefix(source)
    const count = (this.read(key)?.count ?? 0) + 1
    const lastMs = this.#now()
    this.#offences.set(key, { count, lastMs, forgottenMs: lastMs + this.memoryMs })
    this.onChange(key)
    return count
  }

  find(source: Prefix): Offences | undefined {
    return this.read(formatPrefix(source))
  }

  /** The sources that are remembered, as text. */
  keys(): Iterable<string> {
    return this.#offences.keys().filter((key) => this.read(key) !== undefined)
  }

  /** Like `find`, by the text of the source. */
  read(key: string): Offences | undefined {
    const known = this.#offences.peek(key)
    return known !== undefined && this.#now() <= known.forgottenMs ? known : undefined
  }

  /** Takes over what an earlier run has known of a source. */
  recall(source: Prefix, offences: Offences): void {
    const key = formatPrefix(source)
    this.#offences.set(key, offences)
    this.onChange(key)
  }

  /** `source` starts afresh. */
  forget(source: Prefix): void {
    const key = formatPrefix(source)
    if (this.#offences.delete(key)) this.onChange(key)
  }
}
