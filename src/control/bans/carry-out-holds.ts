import type { Mode, Policy } from '../../config/policy.ts'
import { type Family, type Prefix, widen } from '../../net/prefix.ts'
import { DnsSet } from '../../path/compile.ts'
import { type DaemonState, modeOf } from '../state.ts'
import type { PathThreads } from '../threads/path-threads.ts'

interface HoldState extends Pick<DaemonState, 'policy' | 'slots' | 'holds' | 'thinning'> {
  readonly threads: Pick<PathThreads, 'drainHolds' | 'residents'>
}

/** Carries out what the path threads have handed over. */
export function carryOutHolds(state: HoldState): void {
  const { policy, slots, threads, holds, thinning } = state
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
  for (const family of [4, 6] as const) {
    const ofFlood = handedOver.filter(
      ({ source, serviceSlot }) => serviceSlot === DnsSet.reverse && source.family === family,
    )
    const served = ofFlood.filter(({ detail }) => detail > 0).map(({ source }) => source)
    if (served.length > 0) thinning.spare(family, served)
    if (served.length === ofFlood.length) continue
    thinning.thin(family, modeOfDns(policy), () => residents(state, family))
  }
}

/** The kernel does not tell DNS services apart: one in shadow mode has the flood for all of them. */
function modeOfDns(policy: Policy): Mode {
  const modes = policy.services.filter(({ dns }) => dns).map((service) => modeOf(policy, service))
  return modes.every((mode) => mode === 'enforce') ? 'enforce' : 'shadow'
}

function* residents({ policy, slots, threads }: HoldState, family: Family): Iterable<Prefix> {
  for (const { name, dns } of policy.services) if (dns) yield* threads.residents(slots.slotOf(name), family)
}
