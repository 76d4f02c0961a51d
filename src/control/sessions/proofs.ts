import type { Service } from '../../config/policy.ts'
import { formatPrefix, type Prefix } from '../../net/prefix.ts'
import { RecentMap } from '../recent-map.ts'

/** Sources whose handshakes are remembered. Who is forgotten has to complete some more before he is banned. */
const SOURCES_MAX = 65_536

interface Handshakes {
  /** The half window that `current` counts in. */
  half: number
  current: number
  previous: number
}

/**
 * The handshakes that each source completed within the proof window. They are counted in halves of it, so
 * each is remembered for half of the window at least, and for the whole at most.
 */
export class Proofs {
  windowMs: number
  readonly #now: () => number
  readonly #sources = new RecentMap<string, Handshakes>(SOURCES_MAX)

  constructor(windowMs: number, now: () => number) {
    this.windowMs = windowMs
    this.#now = now
  }

  /** Notes one handshake of `source`. */
  add(source: Prefix): void {
    const key = formatPrefix(source)
    const half = this.#half()
    const known = this.#sources.get(key)
    if (known?.half === half) {
      known.current++
      return
    }
    this.#sources.set(key, { half, current: 1, previous: known?.half === half - 1 ? known.current : 0 })
  }

  /** How many handshakes of `source` are remembered. */
  count(source: Prefix): number {
    const known = this.#sources.peek(formatPrefix(source))
    if (known === undefined) return 0
    const age = this.#half() - known.half
    if (age === 0) return known.current + known.previous
    return age === 1 ? known.current : 0
  }

  get size(): number {
    return this.#sources.size
  }

  #half(): number {
    return Math.floor(this.#now() / (this.windowMs / 2))
  }
}

/**
 * How many handshakes prove that it was the source itself who used up its limit at `service`, and not
 * somebody with forged SYNs in its name: half of what the limit lets through before it refuses anything. The
 * attempts of a real client that are let through come to be connections; forged ones never do, however many
 * connections the true owner of the address has meanwhile.
 */
export function handshakesNeeded(service: Service, windowMs: number): number {
  const limit = service.limits.source
  if (limit === undefined) return 1
  const letThrough = Math.min(limit.burst, (limit.ratePerSecond * windowMs) / 2000)
  return Math.max(1, Math.ceil(letThrough / 2))
}
