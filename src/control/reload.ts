import { loadPolicy } from '../config/load.ts'
import { notifyManager } from './notify-manager.ts'
import { reloadable } from './pending.ts'
import { putInForce } from './put-in-force.ts'
import type { ReloadReport } from './requests/protocol.ts'
import type { DaemonState } from './state.ts'
import { leaveTrial } from './trial.ts'

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
    leaveTrial(state)
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
