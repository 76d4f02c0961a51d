import { type Policy, thinsFloods } from '../config/policy.ts'
import { EXIT, Failure } from '../failure.ts'
import {
  addEntries,
  createSet,
  deleteEntries,
  destroySet,
  flushSet,
  listSet,
  listSets,
  type SetEntry,
} from '../kernel/ipset.ts'
import { NetlinkError } from '../kernel/netlink-error.ts'
import { type Family, formatPrefix, type Prefix } from '../net/prefix.ts'
import {
  allowSetName,
  banSetName,
  floodSetName,
  holdSetName,
  isBlockingSet,
  isOwnSet,
  sparedSetName,
} from './names.ts'

/** A set that the rules of a policy refer to. */
export interface OwnSet {
  readonly name: string
  readonly family: Family
  readonly maxEntries: number
}

/** Entries of each allow set: the policy's list, what is found at start, and what is added while running. */
const ALLOW_ENTRIES_MAX = 131_072
/** Entries of each hold set: as many as are added in four seconds (src/control/bans/holds.ts). */
const HOLD_ENTRIES_MAX = 65_536
/** The halves of the address space, and no more. */
const FLOOD_ENTRIES_MAX = 2
/** Sources that are spared in a flood. */
export const SPARED_ENTRIES_MAX = 65_536

export function ownSets(policy: Policy, family: Family): OwnSet[] {
  const services = policy.services.map((service) => service.name)
  const scopes = ['all', ...services]
  const held = policy.holds === undefined ? [] : services
  return [
    { name: allowSetName(family), family, maxEntries: ALLOW_ENTRIES_MAX },
    ...scopes.map((scope) => ({
      name: banSetName(scope, family),
      family,
      maxEntries: policy.ban.maxEntries,
    })),
    ...held.map((service) => ({
      name: holdSetName(service, family),
      family,
      maxEntries: HOLD_ENTRIES_MAX,
    })),
    ...(thinsFloods(policy)
      ? [
          { name: floodSetName(family), family, maxEntries: FLOOD_ENTRIES_MAX },
          { name: sparedSetName(family), family, maxEntries: SPARED_ENTRIES_MAX },
        ]
      : []),
  ]
}

/**
 * Makes sure of `sets`. Those that exist are kept with their entries, and get the new
 * size if that changed and no rule refers to them. When it fails, none has been added.
 *
 * @returns the names of those that did not exist.
 * @throws Failure (noPermission, unavailable)
 */
export function ensureSets(sets: readonly OwnSet[]): string[] {
  const existing = setSizes()
  const missing = sets.map(({ name }) => name).filter((name) => !existing.has(name))
  try {
    explained(() => sets.forEach(ensureSet))
  } catch (error) {
    discardSets(missing)
    throw error
  }
  return missing
}

function ensureSet(set: OwnSet): void {
  try {
    createSet(set.name, set)
  } catch (error) {
    if (!hasCode(error, 'set exists with other settings')) throw error
    resizeSet(set)
  }
}

/**
 * Makes a set anew in its new size. While rules refer to it, the kernel does not let it go: then it stays as
 * it is until the next start. If it shrinks, the entries that would end first are lost.
 */
function resizeSet(set: OwnSet): void {
  const entries = listSet(set.name).sort((a, b) => lifetime(b) - lifetime(a))
  try {
    destroySet(set.name)
  } catch (error) {
    if (hasCode(error, 'set is in use')) return
    throw error
  }
  createSet(set.name, set)
  addEntries(set.name, entries.slice(0, set.maxEntries))
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof NetlinkError && error.code === code
}

function lifetime({ timeoutSeconds }: SetEntry): number {
  return timeoutSeconds === 0 ? Number.MAX_VALUE : timeoutSeconds
}

/**
 * Makes the allow set of `family` hold exactly its part of `allowed`, touching only what differs: an address
 * that stays is never absent for a moment.
 *
 * @throws Failure naming the first entry that the kernel refused.
 */
export function setAllowedSources(family: Family, allowed: readonly Prefix[]): void {
  const name = allowSetName(family)
  const wanted = new Map(
    allowed.filter((prefix) => prefix.family === family).map((prefix) => [formatPrefix(prefix), prefix]),
  )
  explained(() => {
    const present = new Map(listSet(name).map(({ prefix }) => [formatPrefix(prefix), prefix]))
    const added = [...wanted].filter(([text]) => !present.has(text))
    const removed = [...present].filter(([text]) => !wanted.has(text))
    const refused = addEntries(
      name,
      added.map(([, prefix]) => ({ prefix, timeoutSeconds: 0 })),
    )
    deleteEntries(
      name,
      removed.map(([, prefix]) => prefix),
    )
    if (refused[0] !== undefined) throw new Failure(EXIT.osError, refused[0].message)
  })
}

/** Sets of ours that exist, of this policy or an earlier one, with the number of their entries. */
export function setSizes(): Map<string, number> {
  return explained(
    () =>
      new Map(
        listSets()
          .filter(({ name }) => isOwnSet(name))
          .map(({ name, entries }) => [name, entries]),
      ),
  )
}

/** Destroys those of `names` that exist. @throws Failure (osError) if a rule that is not ours uses one. */
export function destroySets(names: Iterable<string>): void {
  const failures = [...names].flatMap((name) => {
    try {
      destroySet(name)
      return []
    } catch (error) {
      return hasCode(error, 'set does not exist') ? [] : [error]
    }
  })
  explained(() => {
    if (failures.length > 0) throw failures[0]
  })
}

/** Empties every set whose entries are dropped, at once and without a word to iptables. @throws Failure */
export function flushBlockingSets(): void {
  explained(() => {
    for (const { name } of listSets()) if (isBlockingSet(name)) flushSet(name)
  })
}

/** Destroys those of `names` that no rule uses; `down` will name the others. */
export function discardSets(names: Iterable<string>): void {
  try {
    destroySets(names)
  } catch {}
}

function explained<T>(operation: () => T): T {
  try {
    return operation()
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error
    throw failureOf(error)
  }
}

function failureOf(error: NetlinkError): Failure {
  if (error.code === 'EPERM') {
    const remedy = 'run as root, or give CAP_NET_ADMIN and CAP_NET_RAW'
    return new Failure(EXIT.noPermission, error.message, remedy, { cause: error })
  }
  if (error.code === 'set is in use') {
    const remedy = 'find the rule with "iptables-save | grep sluice-", delete it, and try again'
    return new Failure(EXIT.osError, `${error.message} by a rule that is not of sluice`, remedy, {
      cause: error,
    })
  }
  if (error.code === 'EINVAL' || error.code.startsWith('the kernel')) {
    const remedy = 'boot a kernel with ipset and hash:net (CONFIG_IP_SET_HASH_NET)'
    return new Failure(EXIT.unavailable, error.message, remedy, { cause: error })
  }
  return new Failure(EXIT.osError, error.message, undefined, { cause: error })
}
