import type { LoginModel, MailModel, OutcomeModel } from '../../config/policy.ts'
import type { Family } from '../../net/prefix.ts'
import type { Session, Volume } from '../sessions/session.ts'

/** How the login of a session went. `unclear` is no evidence, neither for nor against its source. */
export type Outcome = 'failed' | 'succeeded' | 'unclear'

/** Bytes of headers in a packet: IPv4 or IPv6, and TCP with timestamps (RFC 7323), as all systems but Windows send them. */
const HEADER_BYTES = { 4: 20 + 32, 6: 40 + 32 }

/** Packets from an SSH server when nothing was tried, and with each try: a fit, see docs/outcomes.md. */
const PACKETS_BEFORE_TRIES = 8.6
const PACKETS_PER_TRY = 2.8
/** More than any server allows in one session by default. */
const MOST_TRIES = 10

/**
 * Judges a session by what went over the wire, not by its content: how much, in how many packets, for how
 * long. It says `unclear` rather than something wrong: above all, a session that succeeded is not to be
 * called failed. The models are measured: docs/outcomes.md.
 */
export function judgeSession(session: Session, model: OutcomeModel): Outcome {
  switch (model.kind) {
    case 'ssh':
    case 'dropbear':
      return judgeLogin(session, model)
    case 'submission':
    case 'smtp':
      return judgeMail(session, model)
  }
}

/**
 * About how many logins a failed session has tried: one more or less on average; `undefined` where the volume does not tell.
 */
export function estimateTries({ toClient }: Session, { kind }: OutcomeModel): number | undefined {
  if (kind !== 'ssh' && kind !== 'dropbear') return undefined
  const tries = Math.round((toClient.packets - PACKETS_BEFORE_TRIES) / PACKETS_PER_TRY)
  return Math.min(MOST_TRIES, Math.max(1, tries))
}

/**
 * Before a login the server says little, and always the same: its greeting, its keys, a refusal for each try.
 * What it says above that is what somebody who is in has asked for.
 */
function judgeLogin({ address, durationMs, toServer, toClient }: Session, model: LoginModel): Outcome {
  const bytes = payloadBytes(toClient, address.family)
  if (durationMs >= model.graceMs || bytes >= model.succeededBytes) return 'succeeded'
  if (bytes < model.leastBytes) return 'unclear'
  if (bytes <= model.failedBytes) return 'failed'
  // Post-quantum keys are large, both ways. A session with small ones is as large when it succeeds; then
  // the client has packets for its channel.
  const hasLargeKeys = payloadBytes(toServer, address.family) >= model.largeFromBytes
  const isFailed = bytes <= model.largeFailedBytes && toServer.packets <= model.largeFailedPackets
  return hasLargeKeys && isFailed ? 'failed' : 'unclear'
}

/** A mail makes the client's packets large; passwords are many small ones. */
function judgeMail({ address, toServer }: Session, model: MailModel): Outcome {
  const bytes = payloadBytes(toServer, address.family)
  if (bytes >= model.succeededBytes) return 'succeeded'
  const { packets } = toServer
  return packets >= model.failedPackets && bytes <= packets * model.failedBytesPerPacket
    ? 'failed'
    : 'unclear'
}

/** What went one way without headers. Segments that were merged on their way make no difference. */
function payloadBytes({ packets, bytes }: Volume, family: Family): number {
  return Math.max(0, bytes - packets * HEADER_BYTES[family])
}
