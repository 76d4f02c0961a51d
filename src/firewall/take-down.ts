import { EXIT, Failure } from '../failure.ts'
import { findIptablesInUse, type Iptables, readLive, replaceRules } from './iptables.ts'
import { CHAINS, chainsOf, isBanSet } from './names.ts'
import { destroySets, setSizes } from './sets.ts'
import { switchBack } from './sysctls.ts'
import type { LiveFamily } from './tables.ts'

/**
 * Removes every chain, jump and set of sluice from this host, whichever policy, process or back end put
 * them there, puts back what it changed of conntrack, and nothing else. Where there is nothing, nothing is done.
 *
 * @param options `keepBans` leaves the ban sets that hold something, with their entries, to their timeouts.
 * @returns what was removed, in words.
 * @throws Failure (noPermission, inUse, osError), after having removed all that it could.
 */
export async function takeDown({ keepBans }: { keepBans: boolean }): Promise<string[]> {
  const removed = await removeRules(await findIptablesInUse())
  const isKept = ([name, entries]: [string, number]) => keepBans && isBanSet(name) && entries > 0
  const sets = [...setSizes()].filter((set) => !isKept(set)).map(([name]) => name)
  const back = switchBack()
  destroySets(sets)
  return [...removed, ...sets.map((name) => `set ${name}`), ...back]
}

/** Removes our chains and jumps from the tables of `tools`. @returns what was removed, in words. */
export async function removeRules(tools: readonly Iptables[]): Promise<string[]> {
  const removed: string[] = []
  const failures: unknown[] = []
  for (const tool of tools) {
    try {
      const found = foundIn(await readLive(tool))
      if (found.length > 0) await replaceRules(tool, {})
      removed.push(...found.map((chain) => `chain ${chain} of ${tool.command}`))
    } catch (error) {
      // Tools without their part of the kernel cannot have put anything there.
      if (!(error instanceof Failure) || error.status !== EXIT.unavailable) failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
  return removed
}

function foundIn(live: LiveFamily): string[] {
  return chainsOf()
    .filter((chain) => live[chain].rules !== undefined || live[chain].jumps.length > 0)
    .map((chain) => CHAINS[chain].name)
}
