import { loadPolicy } from '../config/load.ts'
import type { Policy } from '../config/policy.ts'
import { refreshHostEntries, setAllowed } from './allowed.ts'
import { ALL_PORTS } from './escalation.ts'
import { policyEntries } from './never-ban.ts'
import { notifyManager } from './notify-manager.ts'
import { compiledFor } from './panic.ts'
import { reloadable } from './pending.ts'
import type { ReloadReport } from './protocol.ts'
import { liftShadowed } from './shadowed.ts'
import type { DaemonState } from './state.ts'

/**
 * Puts the policy file as it is now in force. Buckets, bans and queued packets are untouched.
 *
 * @throws Failure (config, noInput, or from the firewall); then the old policy stays in force.
 */
export async function reload(state: DaemonState): Promise<ReloadReport> {
  const { configFile, reloads, log } = state
  try {
    const { policy, pending } = reloadable(state.policy, loadPolicy(configFile))
    const lifted = await putInForce(state, policy)
    const later = pending.length === 0 ? '' : `; from the next start on: ${pending.join(', ')}`
    const message = `reloaded ${configFile}${later}`
    reloads.ok++
    reloads.last = { at: new Date(), ok: true, message }
    log.info('reload', message)
    notifyManager('READY=1', log)
    return { file: configFile, pending, lifted }
  } catch (error) {
    const message = `refused to reload, the old policy stays: ${(error as Error).message}`
    reloads.failed++
    reloads.last = { at: new Date(), ok: false, message }
    log.error('reload-refused', message)
    throw error
  }
}

/** The firewall first: it is what may fail. Then come the path threads, and at the end what cannot fail. */
async function putInForce(state: DaemonState, policy: Policy): Promise<number> {
  const old = state.policy
  const allowLifted = await setAllowed(state, 'policy', policyEntries(policy))
  try {
    await state.firewall.apply(policy)
  } catch (error) {
    await setAllowed(state, 'policy', policyEntries(old))
    throw error
  }
  state.policy = policy
  await state.threads.swap(compiledFor(state))
  for (const bans of [state.enforced, state.watched]) {
    bans.policy = policy.ban
    bans.ledger.keepScopes([ALL_PORTS, ...policy.services.map(({ name }) => name)])
  }
  state.log.level = policy.log.level
  await refreshHostEntries(state)
  return allowLifted.length + liftShadowed(state)
}
