import { formatPrefix, type Prefix } from '../../net/prefix.ts'
import { RecentMap } from '../recent-map.ts'
import type { Offence } from './bans.ts'

/** Whom a flood pushes out stays limited, and comes here again with his next refusals. */
const SUSPECTS_MAX = 16_384

/** A proof is seen within two seconds; connections that were on their way to be completed take a little more. */
const PATIENCE_MS = 10_000

type Suspect = Offence & { readonly atMs: number }

/** Offenders whose addresses are not proven yet: the proof may be a moment behind the offence. */
export class Suspects {
  readonly #now: () => number
  readonly #counts = new Map<string, number>()
  readonly #sources = new RecentMap<string, Suspect[]>(SUSPECTS_MAX)

  constructor(now: () => number) {
    this.#now = now
  }

  add(offence: Offence): void {
    this.#counts.set(offence.service, this.count(offence.service) + 1)
    const key = formatPrefix(offence.source)
    const others = (this.#sources.get(key) ?? []).filter(({ service }) => service !== offence.service)
    this.#sources.set(key, [...others, { ...offence, atMs: this.#now() }])
  }

  /** Offences of `source` that are still fresh. */
  of(source: Prefix): readonly Offence[] {
    const suspects = this.#sources.peek(formatPrefix(source)) ?? []
    return suspects.filter(({ atMs }) => this.#now() - atMs < PATIENCE_MS)
  }

  /** Forgets the offence: the source is banned. */
  delete(source: Prefix, service: string): void {
    const key = formatPrefix(source)
    const others = (this.#sources.peek(key) ?? []).filter((each) => each.service !== service)
    if (others.length > 0) this.#sources.set(key, others)
    else this.#sources.delete(key)
  }

  /** How often somebody offended at `service` without a proof, since the start. */
  count(service: string): number {
    return this.#counts.get(service) ?? 0
  }
}
