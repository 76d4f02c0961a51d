import type { EntryError, SetEntry } from '../../kernel/ipset.ts'
import type { Prefix } from '../../net/prefix.ts'

/**
 * Where bans are kept: the kernel's sets (kernel-ban-sets.ts), or memory alone, where nothing is dropped
 * (memory-ban-sets.ts, for services in shadow mode). Every call throws NetlinkError when the set as a
 * whole cannot be reached.
 */
export interface BanSets {
  /** An entry that is there already gets the new timeout. Returns those refused ("set is full"). */
  add(set: string, entries: readonly SetEntry[]): readonly EntryError[]
  /** Returns those that were not there ("does not exist"). */
  delete(set: string, prefixes: readonly Prefix[]): readonly EntryError[]
  /** Entries with what is left of their timeouts. */
  list(set: string): readonly SetEntry[]
}
