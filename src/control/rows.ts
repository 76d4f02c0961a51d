import type { Mode } from '../config/policy.ts'
import { formatPrefix } from '../net/prefix.ts'
import type { AllowEntry } from './allow-list.ts'
import type { Ban } from './ban.ts'
import type { AllowRow, BanRow } from './protocol.ts'

/**
 * A ban as it is shown: its monotonic times as times of day, by the clock as it is now.
 *
 * @param nowMs the monotonic time now.
 */
export function banRow(ban: Ban, mode: Mode, nowMs: number): BanRow {
  const isEndless = ban.endMs === Number.POSITIVE_INFINITY
  const clock = (ms: number) => new Date(Date.now() + ms - nowMs).toISOString()
  return {
    prefix: formatPrefix(ban.prefix),
    scope: ban.scope,
    mode,
    since: clock(ban.startMs),
    until: isEndless ? null : clock(ban.endMs),
    secondsLeft: isEndless ? null : Math.ceil((ban.endMs - nowMs) / 1000),
    offence: ban.offence ?? null,
    origin: ban.origin,
    proof: ban.proof,
    reason: ban.reason,
  }
}

export function allowRow({ prefix, origin, reason }: AllowEntry): AllowRow {
  return { prefix: formatPrefix(prefix), origin, reason }
}
