import { formatPrefix } from '../../net/prefix.ts'
import type { Offence } from '../bans/bans.ts'
import { roughDuration } from '../rough-duration.ts'
import { type DaemonState, modeOf } from '../state.ts'

type ChargeState = Pick<
  DaemonState,
  'policy' | 'log' | 'allow' | 'threads' | 'enforced' | 'watched' | 'induced' | 'proofs'
>

/** Takes the reverse lookups that this host has made, and charges them to the clients that caused them. */
export function chargeLookups(state: ChargeState): void {
  const { policy, threads, induced } = state
  const lookups = threads.drainLookups()
  const ban = policy.dns.induced?.ban
  const caused = induced.take(lookups, policy)
  if (ban === undefined) return
  const offences: Record<'enforce' | 'shadow', Offence[]> = { enforce: [], shadow: [] }
  for (const { source, service, strikes } of caused) {
    if (strikes < ban.strikes) continue
    induced.forgive(source, service.name)
    // Somebody may have forged the SYN, and have had the address looked up in another way.
    if (state.proofs.count(source) === 0) continue
    const allowed = state.allow.covering(source)
    if (allowed !== undefined) {
      state.log.debug(
        'never-ban',
        `${formatPrefix(source)} is not banned from ${service.name}: ${allowed.reason}`,
      )
      continue
    }
    const reason = `${strikes} reverse lookups caused within ${roughDuration(ban.withinMs)}`
    offences[modeOf(policy, service)].push({ source, service: service.name, reason, proof: 'handshake' })
  }
  state.enforced.punish(offences.enforce)
  state.watched.punish(offences.shadow)
}
