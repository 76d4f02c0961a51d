import type { CompiledPolicy } from './compile.ts'
import type { PacketView } from './decode.ts'
import { Reason } from './reasons.ts'
import { NO_SERVICE } from './service-slots.ts'

// Constants of this module cost compiled code nothing; an import or export is looked up each time.
const isNewAttempt = isAttempt
const TCP = 6
const NONE = NO_SERVICE
const { withinLimit: WITHIN_LIMIT, noService: NO_SUCH, notNew: NOT_NEW } = Reason
const SYN = 0x02
const ACK = 0x10

/**
 * The slot of the service that `view` wants to reach, or `NO_SERVICE`. One table look-up, however many
 * services there are.
 */
export function classify(view: PacketView, policy: CompiledPolicy): number {
  const ports = view.protocol === TCP ? policy.tcpPorts : policy.udpPorts
  return ports[view.destinationPort]!
}

/**
 * Whether a TCP packet asks for a new connection. Only SYN and ACK decide: a SYN that offers ECN
 * carries ECE and CWR too (RFC 3168, 6.1.1), and one with FIN or URG added must not slip past.
 */
export function isAttempt(view: PacketView): boolean {
  return view.protocol !== TCP || (view.tcpFlags & (SYN | ACK)) === SYN
}

/** Why a packet needs no judging, or `Reason.withinLimit` when it does. */
export function exempt(view: PacketView, slot: number): Reason {
  if (slot === NONE) return NO_SUCH
  return isNewAttempt(view) ? WITHIN_LIMIT : NOT_NEW
}
