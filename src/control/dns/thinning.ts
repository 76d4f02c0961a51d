import type { Mode } from '../../config/policy.ts'
import { floodSetName, sparedSetName } from '../../firewall/names.ts'
import { SPARED_ENTRIES_MAX } from '../../firewall/sets.ts'
import { type Family, type Prefix, parsePrefix } from '../../net/prefix.ts'
import type { BanSets } from '../bans/ban-sets.ts'
import type { Log } from '../log/log.ts'

/** As a hold: the kernel's shortest timeout, which the path renews while it must be. */
const THIN_SECONDS = 1

/** Who was answered once in a flood is not likely to be forged for so long. */
const SPARED_SECONDS = 60

/** Half of that: who asks now and then stays spared. */
const RESIDENTS_MS = 30_000

/** Everybody, in a set that takes no prefix of length 0. */
const EVERYBODY: Readonly<Record<Family, readonly Prefix[]>> = {
  4: ['0.0.0.0/1', '128.0.0.0/1'].map(parsePrefix),
  6: ['::/1', '8000::/1'].map(parsePrefix),
}

export interface ThinningOptions {
  readonly sets: Pick<BanSets, 'add'>
  readonly log: Pick<Log, 'warn' | 'error'>
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/**
 * A flood of reverse queries from everywhere that fills the queue: the kernel drops most of what strangers ask before
 * it gets there, as it drops whom a hold names. Sources that were here before are spared, and those that the path has
 * let through meanwhile.
 */
export class Thinning {
  /** What the kernel did not take. */
  failures = 0
  readonly #options: ThinningOptions
  readonly #endMs: Record<Family, number> = { 4: 0, 6: 0 }
  readonly #residentsMs: Record<Family, number> = { 4: 0, 6: 0 }

  constructor(options: ThinningOptions) {
    this.#options = options
  }

  /**
   * Begins it for a second, or renews it. In shadow mode it only says so.
   *
   * @param residents who was here before the flood
   */
  thin(family: Family, mode: Mode, residents: () => Iterable<Prefix>): void {
    const { log, now } = this.#options
    if (!this.isOn(family)) {
      const verb = mode === 'shadow' ? 'would drop' : 'drops'
      const message =
        `the queue is filling with a flood of reverse DNS queries: the kernel ${verb} 7 of 8 that come over ` +
        `IPv${family} from strangers`
      log.warn('flood-thinned', message)
    }
    if (mode === 'enforce' && now() >= this.#residentsMs[family]) {
      this.#residentsMs[family] = now() + RESIDENTS_MS
      this.spare(family, first(SPARED_ENTRIES_MAX, residents()))
    }
    if (mode === 'enforce' && !this.#add(floodSetName(family), EVERYBODY[family], THIN_SECONDS)) return
    this.#endMs[family] = now() + THIN_SECONDS * 1000
  }

  /** Spares `sources` what `thin` does, for a minute from now on. */
  spare(family: Family, sources: readonly Prefix[]): void {
    this.#add(sparedSetName(family), sources, SPARED_SECONDS)
  }

  isOn(family: Family): boolean {
    return this.#options.now() < this.#endMs[family]
  }

  #add(set: string, prefixes: readonly Prefix[], timeoutSeconds: number): boolean {
    const { sets, log } = this.#options
    try {
      const errors = sets.add(
        set,
        prefixes.map((prefix) => ({ prefix, timeoutSeconds })),
      )
      this.failures += errors.length
      return errors.length === 0
    } catch (error) {
      // The queue carries on, and the path asks again; a set that somebody has destroyed will be put back.
      this.failures += prefixes.length
      log.error('thinning-failed', `could not change ${set}: ${(error as Error).message}`)
      return false
    }
  }
}

function first(count: number, prefixes: Iterable<Prefix>): Prefix[] {
  const taken: Prefix[] = []
  for (const prefix of prefixes) {
    if (taken.length === count) break
    taken.push(prefix)
  }
  return taken
}
