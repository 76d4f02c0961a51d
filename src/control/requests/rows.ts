import type { Mode } from '../../config/policy.ts'
import { formatPrefix } from '../../net/prefix.ts'
import type { AllowEntry, AllowOrigin } from '../allow/allow-list.ts'
import type { Ban, BanOrigin, Proof } from '../bans/ban.ts'

export interface BanRow {
  readonly prefix: string
  /** A service's name, or `all`. */
  readonly scope: string
  /** `shadow`: nothing is dropped; the service would have banned. */
  readonly mode: Mode
  /** ISO 8601, by the clock as it is now. */
  readonly since: string
  /** `null`: no end. */
  readonly until: string | null
  readonly secondsLeft: number | null
  /** `null`: not known. */
  readonly offence: number | null
  readonly origin: BanOrigin
  readonly proof: Proof
  readonly reason: string
}

export interface AllowRow {
  readonly prefix: string
  readonly origin: AllowOrigin
  readonly reason: string
}

/**
 * A ban as it is shown: its monotonic times as times of day, by the clock as it is now.
 *
 * @param nowMs the monotonic time now.
 */
export function banRow(ban: Ban, mode: Mode, nowMs: number): BanRow {
  const isEndless = ban.endMs === Number.POSITIVE_INFINITY
  return {
    prefix: formatPrefix(ban.prefix),
    scope: ban.scope,
    mode,
    since: clockTime(ban.startMs, nowMs),
    until: isEndless ? null : clockTime(ban.endMs, nowMs),
    secondsLeft: isEndless ? null : Math.ceil((ban.endMs - nowMs) / 1000),
    offence: ban.offence ?? null,
    origin: ban.origin,
    proof: ban.proof,
    reason: ban.reason,
  }
}

/** The monotonic time `ms` as ISO 8601, by the clock as it is now. */
export function clockTime(ms: number, nowMs: number): string {
  return new Date(Date.now() + ms - nowMs).toISOString()
}

export function allowRow({ prefix, origin, reason }: AllowEntry): AllowRow {
  return { prefix: formatPrefix(prefix), origin, reason }
}
