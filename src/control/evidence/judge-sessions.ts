import type { OutcomeModel, Policy } from '../../config/policy.ts'
import type { Offence } from '../bans/bans.ts'
import type { Session } from '../sessions/session.ts'
import { type BanState, modeOf } from '../state.ts'
import type { Evidence } from './evidence.ts'
import { estimateTries, judgeSession, type Outcome } from './outcome.ts'
import type { SshServers } from './ssh-servers.ts'

/** What `estimateTries` may be wrong by. */
const ESTIMATE_ERROR = 2

/** What of the daemon's state sessions change: a replay has it too. */
export interface JudgingState extends Pick<BanState, 'policy' | 'allow' | 'enforced' | 'watched'> {
  readonly evidence: Evidence
}

/** And what it takes to judge sessions of this host. */
export interface SessionState extends JudgingState {
  readonly servers: Pick<SshServers, 'judgingOf'>
}

/** Takes in sessions that are over, or have succeeded and go on. @returns whether one has failed */
export function judgeSessions(state: SessionState, sessions: readonly Session[]): boolean {
  const { evidence, policy, allow } = state
  let hasFailed = false
  for (const session of sessions) {
    // Who is never limited needs no trust, and never offends.
    if (allow.covering(session.address) !== undefined) continue
    const model = modelFor(state, session)
    if (model === undefined) continue
    const outcome = judgeSession(session, model)
    hasFailed ||= outcome === 'failed'
    // One by one: with the first offence its source is banned, and what is left of it counts no more.
    punish(state, evidence.take(session, outcome, triesIn(session, model), policy))
  }
  return hasFailed
}

/** Bans for `offences` by the mode of their services, and then networks for having so many offenders. */
export function punishAll(state: JudgingState, offences: readonly Offence[]): void {
  punish(state, offences)
  const { evidence, policy } = state
  for (const { source, service } of offences) punish(state, evidence.offended(source, service, policy))
}

/** `undefined`: sessions of that service are not judged. */
export function outcomeOf(
  session: Session,
  state: { readonly policy: Policy } & Pick<SessionState, 'servers'>,
): Outcome | undefined {
  const model = modelFor(state, session)
  return model && judgeSession(session, model)
}

/** No more than there were: who mistypes three times in one session must not be taken for somebody with five. */
function triesIn(session: Session, model: OutcomeModel): number {
  const tries = estimateTries(session, model) ?? 1
  return Math.max(1, tries - ESTIMATE_ERROR)
}

function modelFor(
  { policy, servers }: { readonly policy: Policy } & Pick<SessionState, 'servers'>,
  { service }: Session,
): OutcomeModel | undefined {
  const found = policy.services.find(({ name }) => name === service)
  return found && servers.judgingOf(found).model
}

function punish({ policy, enforced, watched }: JudgingState, offences: readonly Offence[]): void {
  const modeFor = (name: string) =>
    modeOf(
      policy,
      policy.services.find((each) => each.name === name),
    )
  enforced.punish(offences.filter(({ service }) => modeFor(service) === 'enforce'))
  watched.punish(offences.filter(({ service }) => modeFor(service) === 'shadow'))
}
