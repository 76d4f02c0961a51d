import { formatPrefix } from '../net/prefix.ts'
import type { ServiceSlots } from '../path/service-slots.ts'
import type { Offence } from './bans.ts'
import type { Log } from './log.ts'
import type { PathThreads } from './path-threads.ts'
import { roughDuration } from './rough-duration.ts'
import { type BanState, modeOf } from './state.ts'

/** What of the daemon's state decides on bans: a replay has it too. */
export interface PromotionState extends Pick<BanState, 'policy' | 'allow' | 'enforced' | 'watched'> {
  readonly slots: ServiceSlots
  readonly threads: Pick<PathThreads, 'drainPromotions'>
  readonly log: Pick<Log, 'debug'>
}

/** Takes the offenders that the path threads have found, and bans those that may be banned. */
export function judgePromotions(state: PromotionState): void {
  const offences: Record<'enforce' | 'shadow', Offence[]> = { enforce: [], shadow: [] }
  for (const { source, serviceSlot, detail: strikes } of state.threads.drainPromotions()) {
    const name = state.slots.nameOf(serviceSlot)
    const service = state.policy.services.find((each) => each.name === name)
    // The policy may have changed since the strikes.
    if (service?.ban === undefined) continue
    const allowed = state.allow.covering(source)
    if (allowed !== undefined) {
      const message = `${formatPrefix(source)} is not banned from ${service.name}: ${allowed.reason}`
      state.log.debug('never-ban', message)
      continue
    }
    const reason = `${strikes} strikes within ${roughDuration(service.ban.withinMs)}`
    offences[modeOf(state.policy, service)].push({ source, service: service.name, reason })
  }
  state.enforced.punish(offences.enforce)
  state.watched.punish(offences.shadow)
}
