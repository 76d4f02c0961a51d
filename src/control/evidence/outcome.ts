import type { LoginModel, MailModel, OutcomeModel } from '../../config/policy.ts'
import type { Session, Volume } from '../sessions/session.ts'

/** How the login of a session went. `unclear` is no evidence, neither for nor against its source. */
export type Outcome = 'failed' | 'succeeded' | 'unclear'

/** Bytes of headers in a packet: IPv4 or IPv6, and TCP. */
const HEADER_BYTES = { 4: 20 + 20, 6: 40 + 20 }
/** More with timestamps (RFC 7323), as all systems but Windows send them. */
const TIMESTAMPS_BYTES = 12

/** Packets from an SSH server when nothing was tried, and with each try: a fit, see docs/outcomes.md. */
const PACKETS_BEFORE_TRIES = 8.6
const PACKETS_PER_TRY = 2.8
/** More than any server allows in one session by default. */
const MOST_TRIES = 10

/**
 * Judges a session by what went over the wire, not by its content: how much, in how many packets, for how
 * long. It says `unclear` rather than something wrong: above all, a session that succeeded is not to be
 * called failed. So one that may have timestamps or not is judged only if that makes no difference. The models
 * are measured: docs/outcomes.md.
 */
export function judgeSession(session: Session, model: OutcomeModel): Outcome {
  const { hasTimestamps, address } = session
  const headers = HEADER_BYTES[address.family]
  if (hasTimestamps !== undefined)
    return judgeWith(session, model, hasTimestamps ? headers + TIMESTAMPS_BYTES : headers)
  const outcome = judgeWith(session, model, headers)
  return outcome === judgeWith(session, model, headers + TIMESTAMPS_BYTES) ? outcome : 'unclear'
}

/** @param headers bytes of them in each packet */
function judgeWith(session: Session, model: OutcomeModel, headers: number): Outcome {
  switch (model.kind) {
    case 'ssh':
    case 'dropbear':
      return judgeLogin(session, model, headers)
    case 'submission':
    case 'smtp':
      return judgeMail(session, model, headers)
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
function judgeLogin(
  { durationMs, toServer, toClient }: Session,
  model: LoginModel,
  headers: number,
): Outcome {
  const bytes = payloadBytes(toClient, headers)
  if (durationMs >= model.graceMs || bytes >= model.succeededBytes) return 'succeeded'
  if (bytes < model.leastBytes) return 'unclear'
  if (bytes <= model.failedBytes) return 'failed'
  // Post-quantum keys are large, both ways. A session with small ones is as large when it succeeds; then
  // the client has packets for its channel. RSA keys of users make a client send as much, but seldom the server.
  const mayHaveLargeKeys = payloadBytes(toServer, headers) >= model.largeFromBytes
  const isAsLarge = bytes >= model.largeLeastBytes && bytes <= model.largeFailedBytes
  return mayHaveLargeKeys && isAsLarge && toServer.packets <= model.largeFailedPackets ? 'failed' : 'unclear'
}

/** A mail makes the client's packets large; passwords are many small ones. */
function judgeMail({ toServer }: Session, model: MailModel, headers: number): Outcome {
  const bytes = payloadBytes(toServer, headers)
  if (bytes >= model.succeededBytes) return 'succeeded'
  const { packets } = toServer
  return packets >= model.failedPackets && bytes <= packets * model.failedBytesPerPacket
    ? 'failed'
    : 'unclear'
}

/** What went one way without headers. Segments that were merged on their way make no difference. */
function payloadBytes({ packets, bytes }: Volume, headers: number): number {
  return Math.max(0, bytes - packets * headers)
}
