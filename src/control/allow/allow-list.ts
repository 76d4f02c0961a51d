import { type Family, formatPrefix, overlaps, type Prefix, widen } from '../../net/prefix.ts'

/**
 * Why an entry is on the list: the policy says so; it belongs to this host (`host`); an SSH session came
 * from it when sluice started (`session`); somebody added it since.
 */
export const ALLOW_ORIGINS = ['policy', 'host', 'session', 'runtime'] as const
export type AllowOrigin = (typeof ALLOW_ORIGINS)[number]

export interface AllowEntry {
  readonly prefix: Prefix
  readonly origin: AllowOrigin
  readonly reason: string
}

/**
 * Sources that are never limited and never banned. Entries of each origin are replaced as a whole; runtime
 * entries come and go one by one, and are remembered over a restart where there is a store.
 */
export class AllowList {
  /** Told of each runtime entry that may have come or gone. */
  onRuntimeChange: (prefix: string) => void = () => {}
  readonly #entries = new Map<AllowOrigin, readonly AllowEntry[]>()
  /** Entries by text, and the prefix lengths that occur: a look-up costs one probe a length, not one an entry. */
  #index = new Map<string, AllowEntry>()
  #lengths: Record<Family, number[]> = { 4: [], 6: [] }

  /** The entries of `origins`, in their order. */
  entries(...origins: readonly AllowOrigin[]): AllowEntry[] {
    return origins.flatMap((origin) => this.#entries.get(origin) ?? [])
  }

  prefixes(): Prefix[] {
    return [...this.#index.values()].map(({ prefix }) => prefix)
  }

  /** Replaces the entries of `origin`. */
  set(origin: AllowOrigin, entries: readonly AllowEntry[]): void {
    const before = this.entries(origin)
    this.#entries.set(origin, entries)
    if (origin === 'runtime') {
      for (const { prefix } of [...before, ...entries]) this.onRuntimeChange(formatPrefix(prefix))
    }
    const all = this.entries(...ALLOW_ORIGINS)
    // Of several entries of a prefix the first gives the reason that people are told.
    this.#index = new Map(all.toReversed().map((entry) => [formatPrefix(entry.prefix), entry]))
    for (const family of [4, 6] as const) {
      const lengths = all.filter(({ prefix }) => prefix.family === family).map(({ prefix }) => prefix.length)
      this.#lengths[family] = [...new Set(lengths)]
    }
  }

  /** The entry that `prefix` lies in as a whole. */
  covering(prefix: Prefix): AllowEntry | undefined {
    for (const length of this.#lengths[prefix.family]) {
      if (length > prefix.length) continue
      const entry = this.#index.get(formatPrefix(widen(prefix, length)))
      if (entry !== undefined) return entry
    }
    return undefined
  }

  /** An entry that has any address in common with `prefix`. */
  overlapping(prefix: Prefix): AllowEntry | undefined {
    return (
      this.covering(prefix) ?? this.entries(...ALLOW_ORIGINS).find((entry) => overlaps(entry.prefix, prefix))
    )
  }
}
