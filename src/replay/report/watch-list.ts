import { RecentMap } from '../../control/recent-map.ts'

const MOST_REFUSED = 256
const MOST_OTHERS = 1024

interface Entry<Watched> {
  readonly watched: Watched
  refusals: number
}

/**
 * Something about each of the sources, or networks, that are worth looking at, in bounded memory. Of those
 * that were refused, the ones refused least make room for others; of those that were not, yet, the ones not
 * seen for longest. So what an offender did before his first refusal is still there when that comes, and a
 * flood from forged addresses does not wash him out.
 */
export class WatchList<Watched> {
  readonly #refused = new Map<string, Entry<Watched>>()
  readonly #others = new RecentMap<string, Entry<Watched>>(MOST_OTHERS)
  /** No entry of `#refused` has fewer refusals: saves a search for each packet of a flood. */
  #atLeast = 0

  get(key: string): Watched | undefined {
    return this.#entry(key)?.watched
  }

  /** What is known of `key`, of which an attempt came just now; what `create` makes when it is new. */
  see(key: string, isRefused: boolean, create: () => Watched): Watched {
    const entry = this.#entry(key) ?? { watched: create(), refusals: 0 }
    if (isRefused) entry.refusals++
    if (!this.#refused.has(key) && !this.#keep(key, entry)) this.#others.set(key, entry)
    return entry.watched
  }

  #entry(key: string): Entry<Watched> | undefined {
    return this.#refused.get(key) ?? this.#others.get(key)
  }

  #keep(key: string, entry: Entry<Watched>): boolean {
    if (entry.refusals === 0 || !this.#makeRoom(entry.refusals)) return false
    this.#others.delete(key)
    this.#refused.set(key, entry)
    return true
  }

  #makeRoom(refusals: number): boolean {
    if (this.#refused.size < MOST_REFUSED) return true
    if (refusals <= this.#atLeast) return false
    const [key, least] = [...this.#refused].reduce((a, b) => (b[1].refusals < a[1].refusals ? b : a))
    this.#atLeast = least.refusals
    return refusals > least.refusals && this.#refused.delete(key)
  }
}
