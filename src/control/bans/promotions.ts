import type { Service } from '../../config/policy.ts'
import { formatPrefix, type Prefix } from '../../net/prefix.ts'
import type { ServiceSlots } from '../../path/service-slots.ts'
import { type JudgingState, punishAll } from '../evidence/judge-sessions.ts'
import type { Log } from '../log/log.ts'
import { roughDuration } from '../rough-duration.ts'
import { handshakesNeeded, type Proofs } from '../sessions/proofs.ts'
import type { PathThreads } from '../threads/path-threads.ts'
import type { Proof } from './ban.ts'
import type { Offence } from './bans.ts'
import type { Suspects } from './suspects.ts'

/** What of the daemon's state decides on bans: a replay has it too. */
export interface PromotionState extends JudgingState {
  readonly slots: ServiceSlots
  readonly threads: Pick<PathThreads, 'drainPromotions'>
  readonly log: Pick<Log, 'debug'>
  readonly proofs: Proofs
  readonly suspects: Suspects
}

/**
 * Takes the offenders that the path threads have found, and bans those that may be banned. Who is not proven
 * stays limited, and becomes an offender again by his next refusals.
 *
 * @returns how many lacked a proof.
 */
export function judgePromotions(state: PromotionState): number {
  let unproven = 0
  const offences: Offence[] = []
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
    const proof = proofOf(state, source, service)
    const offence = { source, service: service.name, reason, proof: proof ?? 'handshake' }
    if (proof === undefined) {
      state.suspects.add(offence)
      unproven++
    } else offences.push(offence)
  }
  punishAll(state, offences)
  return unproven
}

/** Notes a handshake of each of `sources`, and bans those that only lacked a proof. */
export function judgeProven(
  state: Omit<PromotionState, 'threads' | 'slots'>,
  sources: readonly Prefix[],
): void {
  for (const source of sources) state.proofs.add(source)
  for (const source of sources) {
    for (const suspect of state.suspects.of(source)) {
      const service = state.policy.services.find(({ name }) => name === suspect.service)
      if (service?.ban === undefined || state.allow.covering(source) !== undefined) continue
      const proof = proofOf(state, source, service)
      if (proof === undefined) continue
      state.suspects.delete(source, suspect.service)
      punishAll(state, [{ ...suspect, proof }])
    }
  }
}

/** `undefined`: `source` must not be banned. */
function proofOf(
  { policy, proofs }: Pick<PromotionState, 'policy' | 'proofs'>,
  source: Prefix,
  service: Service,
): Proof | undefined {
  const { proof, proofWindowMs } = policy.ban
  if (proof === 'none') return 'none'
  return proofs.count(source) >= handshakesNeeded(service, proofWindowMs) ? 'handshake' : undefined
}
