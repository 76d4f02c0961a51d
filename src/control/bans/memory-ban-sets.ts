import type { EntryError, SetEntry } from '../../kernel/ipset.ts'
import { type Family, formatPrefix, type Prefix } from '../../net/prefix.ts'
import { PrefixTable } from '../../net/prefix-table.ts'
import { EndQueue } from '../end-queue.ts'
import type { BanSets } from './ban-sets.ts'

interface Entry {
  readonly prefix: Prefix
  /** Infinity: no timeout. */
  readonly endMs: number
}

interface HeldSet {
  readonly entries: PrefixTable<Entry>
  /** The same and some that are gone, by their end. */
  readonly ends: EndQueue<Entry>
}

/**
 * Bans without a kernel: what would be dropped if its service were not in shadow mode, or if a capture
 * were replayed on the wire.
 */
export class MemoryBanSets implements BanSets {
  readonly #sets = new Map<string, HeldSet>()
  readonly #maxEntries: number
  readonly #now: () => number

  /** @param now monotonic milliseconds. */
  constructor(maxEntries: number, now: () => number) {
    this.#maxEntries = maxEntries
    this.#now = now
  }

  add(set: string, entries: readonly SetEntry[]): readonly EntryError[] {
    const { entries: held, ends } = this.#held(set)
    return entries.flatMap(({ prefix, timeoutSeconds }, index) => {
      if (held.get(prefix) === undefined && held.size >= this.#maxEntries) {
        return [refusal(index, 'add', prefix, 'set is full')]
      }
      const endMs = timeoutSeconds === 0 ? Number.POSITIVE_INFINITY : this.#now() + timeoutSeconds * 1000
      const entry = { prefix, endMs }
      held.set(prefix, entry)
      ends.add(entry, held)
      return []
    })
  }

  delete(set: string, prefixes: readonly Prefix[]): readonly EntryError[] {
    const held = this.#held(set).entries
    return prefixes.flatMap((prefix, index) =>
      held.delete(prefix) ? [] : [refusal(index, 'delete', prefix, 'does not exist')],
    )
  }

  list(set: string): readonly SetEntry[] {
    const nowMs = this.#now()
    return Array.from(this.#held(set).entries.values(), ({ prefix, endMs }) => ({
      prefix,
      timeoutSeconds: endMs === Number.POSITIVE_INFINITY ? 0 : Math.ceil((endMs - nowMs) / 1000),
    }))
  }

  /** Whether `set` matches the address at `bytes[at]`, as the kernel's match would say. */
  matches(set: string, family: Family, bytes: Uint8Array, at: number): boolean {
    return this.#sets.get(set)?.entries.some(family, bytes, at, this.#isLiving) ?? false
  }

  readonly #isLiving = ({ endMs }: Entry) => endMs > this.#now()

  /** The living entries of `set`: like the kernel, those whose time is over are swept when it is asked. */
  #held(set: string): HeldSet {
    const held = this.#sets.get(set) ?? { entries: new PrefixTable(), ends: new EndQueue() }
    this.#sets.set(set, held)
    const { entries, ends } = held
    const nowMs = this.#now()
    for (const entry of ends.ended(nowMs)) {
      if (entries.get(entry.prefix) === entry) entries.delete(entry.prefix)
    }
    return held
  }
}

function refusal(index: number, verb: string, prefix: Prefix, code: string): EntryError {
  return { index, code, message: `cannot ${verb} ${formatPrefix(prefix)}: ${code}` }
}
