import { widen } from '../../net/prefix.ts'
import { type DaemonState, modeOf } from '../state.ts'
import type { PathThreads } from '../threads/path-threads.ts'

interface HoldState extends Pick<DaemonState, 'policy' | 'slots' | 'holds'> {
  readonly threads: Pick<PathThreads, 'drainHolds'>
}

/** Carries out what the path threads have handed over. */
export function carryOutHolds(state: HoldState): void {
  const { policy, slots, threads, holds } = state
  const handedOver = threads.drainHolds()
  // The policy may have changed since.
  if (policy.holds === undefined) return
  for (const service of policy.services) {
    const slot = slots.slotOf(service.name)
    for (const family of [4, 6] as const) {
      const prefixes = handedOver
        .filter(({ source, serviceSlot }) => serviceSlot === slot && source.family === family)
        .map(({ source, detail: length }) => widen(source, length))
      if (prefixes.length > 0) holds.hold(service.name, family, modeOf(policy, service), prefixes)
    }
  }
}
