import type { Mode } from '../../config/policy.ts'
import { holdSetName } from '../../firewall/names.ts'
import { type Family, formatPrefix, type Prefix } from '../../net/prefix.ts'
import { counted } from '../counted.ts'
import type { Log } from '../log/log.ts'
import type { BanSets } from './ban-sets.ts'

/** What a hold lasts: the kernel's shortest timeout. */
const HOLD_SECONDS = 1

/** Each costs the kernel and us about 2 us: a flood from a million sources must not cost a core. */
const HOLDS_PER_SECOND = 16_384

interface Row {
  readonly service: string
  readonly family: Family
  readonly mode: Mode
  begun: number
  /** When each hold ends, the first to end first. */
  readonly ends: Map<string, number>
}

export interface HoldsOptions {
  readonly sets: Pick<BanSets, 'add'>
  readonly log: Pick<Log, 'info' | 'error'>
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/**
 * Sources and networks whose refusals the kernel carries out for a second: no offence, no history, and
 * nothing to lift, since each hold ends by itself. Services in shadow mode have theirs on paper only.
 */
export class Holds {
  /** Holds that the kernel did not take, or that were too many for one second. */
  lost = 0
  readonly #options: HoldsOptions
  readonly #rows: Row[] = []
  #second = 0
  #thisSecond = 0

  constructor(options: HoldsOptions) {
    this.#options = options
  }

  /** Begins the hold of each of `prefixes`, or renews it. They are of one family. */
  hold(service: string, family: Family, mode: Mode, prefixes: readonly Prefix[]): void {
    const row = this.#row(service, family, mode)
    const granted = prefixes.slice(0, this.#budget(prefixes.length))
    const held = mode === 'enforce' ? this.#enforce(row, granted) : granted
    this.lost += prefixes.length - held.length
    this.#sweep(row)
    if (row.ends.size === 0) this.#report(row, held)
    const endMs = this.#options.now() + HOLD_SECONDS * 1000
    for (const prefix of held) {
      const key = formatPrefix(prefix)
      // Deleted first, it moves to the end of the map.
      if (!row.ends.delete(key)) row.begun++
      row.ends.set(key, endMs)
    }
  }

  /** Holds begun since the start; one that is renewed counts once. */
  begun(service: string, family: Family, mode: Mode): number {
    return this.#row(service, family, mode).begun
  }

  /** When the hold of exactly `prefix` ends, in monotonic milliseconds, if one is in force. */
  endOf(service: string, prefix: Prefix): number | undefined {
    const key = formatPrefix(prefix)
    const endMs = this.#rows.find((row) => row.service === service && row.ends.has(key))?.ends.get(key)
    return endMs !== undefined && endMs > this.#options.now() ? endMs : undefined
  }

  /** Holds in force; in shadow mode those that would be. */
  active(service: string, family: Family, mode: Mode): number {
    const row = this.#row(service, family, mode)
    this.#sweep(row)
    return row.ends.size
  }

  #report({ service, mode }: Row, [first, ...more]: readonly Prefix[]): void {
    if (first === undefined) return
    const verb = mode === 'shadow' ? 'would hold' : 'holding'
    const others = more.length === 0 ? '' : ` and ${counted(more.length, 'other')}`
    const message = `the queue is filling: ${verb} ${formatPrefix(first)}${others} off ${service}`
    this.#options.log.info('hold', message, { service })
  }

  /** Returns those that the kernel has taken. */
  #enforce({ service, family }: Row, prefixes: readonly Prefix[]): readonly Prefix[] {
    const entries = prefixes.map((prefix) => ({ prefix, timeoutSeconds: HOLD_SECONDS }))
    try {
      const errors = this.#options.sets.add(holdSetName(service, family), entries)
      const refused = new Set(errors.map(({ index }) => index))
      return prefixes.filter((_, i) => !refused.has(i))
    } catch (error) {
      // They stay limited, and come again; a set that somebody has destroyed will be put back.
      const message = `could not hold sources off ${service}: ${(error as Error).message}`
      this.#options.log.error('hold-failed', message)
      return []
    }
  }

  /** How many of `wanted` this second has room for. */
  #budget(wanted: number): number {
    const second = Math.floor(this.#options.now() / 1000)
    if (second !== this.#second) this.#thisSecond = 0
    this.#second = second
    const granted = Math.min(wanted, HOLDS_PER_SECOND - this.#thisSecond)
    this.#thisSecond += granted
    return granted
  }

  #sweep({ ends }: Row): void {
    const nowMs = this.#options.now()
    for (const [key, endMs] of ends) {
      if (endMs > nowMs) return
      ends.delete(key)
    }
  }

  #row(service: string, family: Family, mode: Mode): Row {
    const known = this.#rows.find(
      (row) => row.service === service && row.family === family && row.mode === mode,
    )
    if (known !== undefined) return known
    const row: Row = { service, family, mode, begun: 0, ends: new Map() }
    this.#rows.push(row)
    return row
  }
}
