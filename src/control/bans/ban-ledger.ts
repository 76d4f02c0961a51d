import { banSetName } from '../../firewall/names.ts'
import type { SetEntry } from '../../kernel/ipset.ts'
import { NetlinkError } from '../../kernel/netlink-error.ts'
import { covers, type Family, formatPrefix, type Prefix } from '../../net/prefix.ts'
import { EndQueue } from '../end-queue.ts'
import type { Ban } from './ban.ts'
import type { BanSets } from './ban-sets.ts'

/** Bans that end within this time are not missed in a set: the kernel may have dropped them already. */
const ENDING_MS = 2000

/** The bans of one set. */
interface HeldSet {
  readonly bans: Map<string, Ban>
  /** The same and some that are gone, by their end. */
  readonly ends: EndQueue<Ban>
}

export interface BanLedgerOptions {
  readonly sets: BanSets
  /** Bans in each set: what the kernel's sets were made for. */
  readonly maxEntries: number
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** What became of bans handed to `add`. */
export interface AddOutcome {
  /** Bans that had to go since their set was full. */
  readonly evicted: readonly Ban[]
  /** Bans that the set has not taken, with the reason. They stay in the ledger: `restore` tries again. */
  readonly refused: readonly { readonly ban: Ban; readonly code: string }[]
}

/**
 * All bans in force, by set and prefix, and the only writer of the ban sets. The sets are what drops
 * packets; the ledger knows what they should hold, and puts it back when somebody else has emptied them.
 */
export class BanLedger {
  /** Told of each ban that is given, changed or gone. */
  onChange: (scope: string, prefix: string) => void = () => {}
  readonly #sets: BanSets
  readonly #maxEntries: number
  readonly #now: () => number
  readonly #held = new Map<string, HeldSet>()

  constructor({ sets, maxEntries, now }: BanLedgerOptions) {
    this.#sets = sets
    this.#maxEntries = maxEntries
    this.#now = now
  }

  /** Bans in force, in no particular order. */
  list(): Ban[] {
    this.#expire()
    return [...this.#held.values()].flatMap(({ bans }) => [...bans.values()])
  }

  /** How many bans are in force in one set. */
  size(scope: string, family: Family): number {
    this.#expire()
    return this.#held.get(banSetName(scope, family))?.bans.size ?? 0
  }

  /** The ban of exactly `prefix` in `scope`, if one is in force. */
  find(prefix: Prefix, scope: string): Ban | undefined {
    const ban = this.#held.get(banSetName(scope, prefix.family))?.bans.get(formatPrefix(prefix))
    return ban !== undefined && ban.endMs > this.#now() ? ban : undefined
  }

  /** Bans of `prefix` or of a network around it. */
  covering(prefix: Prefix): Ban[] {
    return this.list().filter((ban) => covers(ban.prefix, prefix))
  }

  /**
   * Writes `bans` into their sets, many at a time. A ban of the same prefix and scope is replaced. A full
   * set gives up the bans that are nearest to their end.
   */
  add(bans: readonly Ban[]): AddOutcome {
    this.#expire()
    const outcome = { evicted: [] as Ban[], refused: [] as { ban: Ban; code: string }[] }
    for (const [set, group] of groupBySet(bans)) {
      const held = this.#heldIn(set)
      const taken = group.slice(-this.#maxEntries)
      // Who is new is counted where it matters only.
      const isRoomy = held.bans.size + taken.length <= this.#maxEntries
      const fresh = isRoomy ? 0 : taken.filter(({ prefix }) => !held.bans.has(formatPrefix(prefix))).length
      outcome.evicted.push(...group.slice(0, -this.#maxEntries))
      outcome.evicted.push(...this.#evict(set, held.bans.size + fresh - this.#maxEntries))
      for (const ban of taken) this.#hold(held, ban)
      outcome.refused.push(...this.#write(set, taken, outcome.evicted))
    }
    return outcome
  }

  /** Lifts `bans`. @throws NetlinkError if a set cannot be reached; its bans are then still in force. */
  remove(bans: readonly Ban[]): void {
    for (const [set, group] of groupBySet(bans)) {
      this.#delete(set, group)
      this.#forget(set, group)
    }
  }

  /** Takes over what `scope`'s set of `family` holds and the ledger doesn't know. Returns those bans. */
  adopt(scope: string, family: Family): Ban[] {
    const held = this.#heldIn(banSetName(scope, family))
    const startMs = this.#now()
    const found = this.#sets.list(banSetName(scope, family)).flatMap(({ prefix, timeoutSeconds }) => {
      const endMs = timeoutSeconds === 0 ? Number.POSITIVE_INFINITY : startMs + timeoutSeconds * 1000
      const reason = 'found in the kernel when sluice started'
      const ban: Ban = {
        prefix,
        scope,
        startMs,
        endMs,
        offence: undefined,
        reason,
        origin: 'adopted',
        proof: 'none',
      }
      return held.bans.has(formatPrefix(prefix)) ? [] : [ban]
    })
    for (const ban of found) this.#hold(held, ban)
    return found
  }

  /**
   * Gives bans that were adopted their history back; what the kernel says of their end holds.
   *
   * @returns those of `bans` that the ledger does not have.
   */
  recall(bans: readonly Ban[]): Ban[] {
    return bans.filter((ban) => {
      const held = this.find(ban.prefix, ban.scope)
      if (held?.origin === 'adopted') {
        this.#hold(this.#heldIn(banSetName(ban.scope, ban.prefix.family)), { ...ban, endMs: held.endMs })
      }
      return held === undefined
    })
  }

  /**
   * Writes all bans of a set again where it holds fewer than it should, because it was flushed or made
   * anew. `sizes` gives the entries of each set; one that is missing there is left alone.
   *
   * @returns the bans of those sets, and those of them refused.
   */
  restore(sizes: ReadonlyMap<string, number>): { restored: readonly Ban[]; refused: AddOutcome['refused'] } {
    this.#expire()
    const soonMs = this.#now() + ENDING_MS
    const incomplete = [...this.#held].filter(([set, { bans }]) => {
      const expected = [...bans.values()].filter(({ endMs }) => endMs > soonMs).length
      return (sizes.get(set) ?? expected) < expected
    })
    return {
      restored: incomplete.flatMap(([, { bans }]) => [...bans.values()]),
      refused: incomplete.flatMap(([set, { bans }]) => this.#tryWrite(set, [...bans.values()])),
    }
  }

  /** Forgets the bans of all scopes but `scopes`, whose sets are gone with their services. */
  keepScopes(scopes: readonly string[]): void {
    const sets = new Set(scopes.flatMap((scope) => [banSetName(scope, 4), banSetName(scope, 6)]))
    for (const [set, { bans }] of this.#held) {
      if (sets.has(set)) continue
      this.#forget(set, [...bans.values()])
      this.#held.delete(set)
    }
  }

  /** Takes `bans` off the ledger without touching their sets. */
  #forget(set: string, bans: readonly Ban[]): void {
    for (const { prefix, scope } of bans) {
      const key = formatPrefix(prefix)
      if (this.#held.get(set)?.bans.delete(key)) this.onChange(scope, key)
    }
  }

  #hold({ bans, ends }: HeldSet, ban: Ban): void {
    const key = formatPrefix(ban.prefix)
    bans.set(key, ban)
    ends.add(ban, bans)
    this.onChange(ban.scope, key)
  }

  /**
   * Where the ledger has evicted nobody and the set is still full, it holds entries that others made:
   * then one ban gives way for each that was refused. Whatever fails is tried twice.
   */
  #write(set: string, bans: readonly Ban[], evicted: Ban[]): AddOutcome['refused'] {
    const first = this.#tryWrite(set, bans)
    if (first.length === 0) return first
    const again = first.map(({ ban }) => ban)
    const full = first.filter(({ code }) => code === 'set is full').length
    if (full > 0) evicted.push(...this.#evict(set, full, new Set(again)))
    return this.#tryWrite(set, again)
  }

  #tryWrite(set: string, bans: readonly Ban[]): AddOutcome['refused'] {
    const nowMs = this.#now()
    try {
      const errors = this.#sets.add(
        set,
        bans.map((ban) => toEntry(ban, nowMs)),
      )
      return errors.map(({ index, code }) => ({ ban: bans[index]!, code }))
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error
      return bans.map((ban) => ({ ban, code: error.code }))
    }
  }

  /** Lifts the `count` bans of `set` that are nearest to their end, except `spared`. */
  #evict(set: string, count: number, spared: ReadonlySet<Ban> = new Set()): Ban[] {
    const { bans, ends } = this.#heldIn(set)
    const victims: Ban[] = []
    const passed: Ban[] = []
    while (victims.length < count) {
      const ban = ends.pop()
      if (ban === undefined) break
      if (bans.get(formatPrefix(ban.prefix)) === ban) (spared.has(ban) ? passed : victims).push(ban)
    }
    for (const ban of passed) ends.push(ban)
    if (victims.length === 0) return victims
    this.#forget(set, victims)
    try {
      this.#delete(set, victims)
    } catch (error) {
      // The set is unreachable: writing to it, which comes next, reports that.
      if (!(error instanceof NetlinkError)) throw error
    }
    return victims
  }

  /** A set that is gone has lost its entries already. */
  #delete(set: string, bans: readonly Ban[]): void {
    try {
      this.#sets.delete(
        set,
        bans.map(({ prefix }) => prefix),
      )
    } catch (error) {
      if (!(error instanceof NetlinkError && error.code === 'set does not exist')) throw error
    }
  }

  #expire(): void {
    const nowMs = this.#now()
    for (const { bans, ends } of this.#held.values()) {
      for (const ban of ends.ended(nowMs)) {
        const key = formatPrefix(ban.prefix)
        if (bans.get(key) !== ban) continue
        bans.delete(key)
        this.onChange(ban.scope, key)
      }
    }
  }

  #heldIn(set: string): HeldSet {
    const held = this.#held.get(set) ?? { bans: new Map<string, Ban>(), ends: new EndQueue<Ban>() }
    this.#held.set(set, held)
    return held
  }
}

function groupBySet(bans: readonly Ban[]): Map<string, Ban[]> {
  const groups = new Map<string, Ban[]>()
  for (const ban of bans) {
    const set = banSetName(ban.scope, ban.prefix.family)
    const group = groups.get(set)
    if (group === undefined) groups.set(set, [ban])
    else group.push(ban)
  }
  return groups
}

function toEntry({ prefix, endMs }: Ban, nowMs: number): SetEntry {
  const timeoutSeconds =
    endMs === Number.POSITIVE_INFINITY ? 0 : Math.max(1, Math.ceil((endMs - nowMs) / 1000))
  return { prefix, timeoutSeconds }
}
