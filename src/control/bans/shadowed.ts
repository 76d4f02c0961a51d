import { counted } from '../counted.ts'
import { type BanState, modeOf } from '../state.ts'
import { ALL_PORTS } from './escalation.ts'

/**
 * Lifts bans of services that have gone over to shadow mode, which drops nothing; what a person has banned
 * stays. Returns how many.
 */
export function liftShadowed({ policy, enforced, log }: BanState): number {
  const bans = enforced.ledger.list().filter(({ scope, origin }) => {
    const service = policy.services.find(({ name }) => name === scope)
    const mode = scope === ALL_PORTS ? policy.mode : modeOf(policy, service)
    return origin !== 'manual' && mode === 'shadow'
  })
  if (bans.length === 0) return 0
  enforced.lift(bans)
  log.info('unban', `lifted ${counted(bans.length, 'ban')} of services in shadow mode`)
  return bans.length
}
