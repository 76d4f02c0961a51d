import { isDeepStrictEqual } from 'node:util'
import { formatPrefix } from '../../net/prefix.ts'
import type { Ban } from '../bans/ban.ts'
import type { BanState } from '../state.ts'
import type { AllowEntry, AllowOrigin } from './allow-list.ts'
import { hostEntries } from './never-ban.ts'

/**
 * Replaces the allow entries of one origin, in the list and in the kernel, and lifts the bans that lie in
 * the new list. When the kernel refuses, nothing has changed.
 *
 * @returns the bans lifted.
 * @throws Failure from the firewall.
 */
export async function setAllowed(
  state: BanState,
  origin: AllowOrigin,
  entries: readonly AllowEntry[],
): Promise<Ban[]> {
  const { allow, firewall } = state
  const before = allow.entries(origin)
  allow.set(origin, entries)
  try {
    await firewall.setAllowed(allow.prefixes())
  } catch (error) {
    allow.set(origin, before)
    throw error
  }
  return liftAllowed(state)
}

/** Lifts the bans of sources that lie in the allow list. */
export function liftAllowed({ allow, enforced, watched, log }: BanState): Ban[] {
  return [enforced, watched].flatMap((bans) => {
    const lifted = bans.ledger.list().filter(({ prefix }) => allow.covering(prefix) !== undefined)
    bans.lift(lifted)
    for (const { prefix, scope } of lifted) {
      const source = formatPrefix(prefix)
      log.info('unban', `lifted the ban of ${source}: ${allow.covering(prefix)?.reason}`, { source, scope })
    }
    return lifted
  })
}

/** Follows the host's own addresses, gateways and resolvers as they change. */
export async function refreshHostEntries(state: BanState): Promise<void> {
  const before = state.allow.entries('host')
  const entries = hostEntries()
  if (isDeepStrictEqual(before, entries)) return
  await setAllowed(state, 'host', entries)
  const known = new Set(before.map(({ prefix }) => formatPrefix(prefix)))
  for (const { prefix, reason } of entries) {
    const text = formatPrefix(prefix)
    if (!known.has(text)) state.log.info('allow', `never banned from now on: ${text}, ${reason}`)
  }
}
