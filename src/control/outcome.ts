import type { OutcomeModel } from '../config/policy.ts'
import type { Family } from '../net/prefix.ts'
import type { Session, Volume } from './session.ts'

/** How the login of a session went. `unclear` is no evidence, neither for nor against its source. */
export type Outcome = 'failed' | 'succeeded' | 'unclear'

/** Bytes of headers in a packet: IPv4 or IPv6, and TCP with timestamps (RFC 7323), as all systems but Windows send them. */
const HEADER_BYTES = { 4: 20 + 32, 6: 40 + 32 }

/**
 * Judges a session by what went over the wire, not by its content. It says `unclear` rather than something
 * wrong: above all, a session that succeeded is not to be called failed.
 */
export function judgeSession(session: Session, model: OutcomeModel): Outcome {
  const bytes = payloadBytes(session.toClient, session.address.family)
  if (session.durationMs >= model.graceMs || bytes >= model.succeededBytes) return 'succeeded'
  return bytes >= model.leastBytes && bytes <= model.failedBytes ? 'failed' : 'unclear'
}

/** What went one way without headers. Segments that were merged on their way make no difference. */
function payloadBytes({ packets, bytes }: Volume, family: Family): number {
  return Math.max(0, bytes - packets * HEADER_BYTES[family])
}
