import type { Policy } from '../config/policy.ts'
import { refreshHostEntries, setAllowed } from './allow/allowed.ts'
import { policyEntries } from './allow/never-ban.ts'
import { ALL_PORTS } from './bans/escalation.ts'
import { liftShadowed } from './bans/shadowed.ts'
import { slipObstacle } from './dns/slip.ts'
import { compiledFor } from './panic.ts'
import { tcpPorts } from './sessions/watch-sessions.ts'
import type { DaemonState } from './state.ts'

/**
 * Replaces the policy of a running daemon. The firewall comes first: it is what may fail. Then come the path
 * threads, and at the end what cannot fail. Returns how many bans that has lifted.
 *
 * @throws Failure from the firewall; then the old policy stays in force.
 */
export async function putInForce(state: DaemonState, policy: Policy): Promise<number> {
  const old = state.policy
  const allowLifted = await setAllowed(state, 'policy', policyEntries(policy))
  try {
    await state.firewall.apply(policy)
  } catch (error) {
    await setAllowed(state, 'policy', policyEntries(old))
    throw error
  }
  state.policy = policy
  const { trust } = state.evidence
  trust?.keepServices(policy.services.map(({ name }) => name))
  if (trust !== undefined && policy.trust !== undefined) trust.policy = policy.trust
  state.slip.obstacle = slipObstacle(policy, state.threads.replyFailure, () => state.listeners.all())
  await state.threads.swap(compiledFor(state))
  state.proofs.windowMs = policy.ban.proofWindowMs
  state.sessions.ports = tcpPorts(policy)
  for (const bans of [state.enforced, state.watched]) {
    bans.policy = policy.ban
    bans.ledger.keepScopes([ALL_PORTS, ...policy.services.map(({ name }) => name)])
  }
  void state.servers.refresh()
  state.log.level = policy.log.level
  await refreshHostEntries(state)
  return allowLifted.length + liftShadowed(state)
}
