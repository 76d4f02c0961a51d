import type { Prefix } from '../../net/prefix.ts'
import { Known } from '../../path/known-good.ts'
import { compiledFor } from '../panic.ts'
import type { DaemonState } from '../state.ts'
import { pathClockMs } from '../threads/path-clock.ts'
import type { PathThreads } from '../threads/path-threads.ts'
import { slipObstacle } from './slip.ts'

/** For so long a source that came back is known good to the DNS service. */
const KNOWN_FOR_MS = 3_600_000

type SlipState = Pick<DaemonState, 'policy' | 'log' | 'slots' | 'threads' | 'slip' | 'panic' | 'listeners'>

interface ProvingState {
  readonly threads: Pick<PathThreads, 'known' | 'drainSlipped'>
}

/** Follows whether somebody listens on the TCP ports of the DNS services, and tells the path when that changes. */
export async function refreshSlip(state: SlipState): Promise<void> {
  const { policy, slip, threads, log, listeners } = state
  noteAsked(state)
  const obstacle = slipObstacle(policy, threads.replyFailure, () => listeners.all())
  if (obstacle === slip.obstacle) return
  slip.obstacle = obstacle
  await threads.swap(compiledFor(state))
  if (obstacle === '') log.info('slip', 'refused DNS queries are asked to come back over TCP')
  else log.warn('slip', `refused DNS queries are not asked to come back over TCP: ${obstacle}`)
}

/** Takes in whom the path has asked. */
function noteAsked({ threads, slip }: Pick<SlipState, 'slip'> & ProvingState): void {
  for (const { source, serviceSlot, atMs } of threads.drainSlipped()) slip.asked(source, serviceSlot, atMs)
}

/** Sources that completed a TCP handshake with a service: who was asked to, is known good to it for an hour. */
export function proveResolvers(
  state: Pick<SlipState, 'slip' | 'slots' | 'policy'> & ProvingState,
  assured: readonly { readonly source: Prefix; readonly service: string }[],
): void {
  noteAsked(state)
  const nowMs = pathClockMs()
  for (const { source, service } of assured) {
    if (!state.policy.services.some(({ name, dns }) => dns && name === service)) continue
    const slot = state.slots.slotOf(service)
    if (!state.slip.comesBack(source, slot, nowMs)) continue
    state.slip.proven++
    state.threads.known.set(source, slot, Known.resolver, nowMs + KNOWN_FOR_MS, nowMs)
  }
}
