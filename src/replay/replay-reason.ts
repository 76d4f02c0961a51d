import { REASONS, type ReasonName } from '../path/reasons.ts'

/** Why an attempt was decided as it was: the path's reasons, and the two that the kernel's sets decide. */
export type ReplayReason = ReasonName | 'allow-list' | 'banned'

/** All of them by their number: that of the path, and behind those the kernel's two. */
export const REPLAY_REASONS: readonly ReplayReason[] = [
  ...REASONS.map(({ name }) => name),
  'allow-list',
  'banned',
]

export const ALLOW_LISTED = REASONS.length
export const BANNED = REASONS.length + 1

/** For each reason, by its number, 1 if it is one of `reasons`. */
export function reasonFlags(reasons: readonly ReplayReason[]): Uint8Array {
  return Uint8Array.from(REPLAY_REASONS, (reason) => (reasons.includes(reason) ? 1 : 0))
}
