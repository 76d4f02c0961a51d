import { setSizes } from '../firewall/sets.ts'
import { refreshHostEntries } from './allow/allowed.ts'
import { judgePromotions } from './bans/promotions.ts'
import { countBypassed } from './bypassed.ts'
import { counted } from './counted.ts'
import { checkDnsAlarms } from './dns/dns-alarms.ts'
import { refreshSlip } from './dns/follow-slip.ts'
import { watchPanic } from './panic.ts'
import type { DaemonState } from './state.ts'

/**
 * One round of looking after what others can break: puts back chains, sets, allow entries and bans that
 * are gone, and says so. Failures are logged: the next round tries again.
 */
export async function heal(state: DaemonState): Promise<void> {
  const { firewall, health, log, enforced } = state
  try {
    log.reportSuppressed()
    // The message of a path thread that died right after its last promotions may be lost.
    judgePromotions(state)
    checkDnsAlarms(state)
    await refreshSlip(state)
    await refreshHostEntries(state)
    if (await watchPanic(state)) return
    const { problems, queuePackets } = await firewall.verify()
    countBypassed(state, queuePackets)
    if (problems.length > 0) {
      health.problems = problems
      await firewall.repair()
    }
    // Counted now: bans that came while the firewall was checked are in the ledger and in the sets.
    const restored = enforced.restore(setSizes())
    health.problems = []
    if (problems.length === 0 && restored === 0) return
    health.repairs++
    health.lastRepairAt = new Date()
    const bans = restored === 0 ? [] : [`${counted(restored, 'ban')} of sets that had lost some`]
    log.warn('repair', `put back what somebody had removed: ${[...problems, ...bans].join('; ')}`)
  } catch (error) {
    health.problems = [(error as Error).message]
    log.error('repair-failed', `could not look after the firewall: ${(error as Error).message}`)
  }
}
