/** The last time that a Date can hold (ECMA-262, 21.4.1.1). */
const LAST_MS = 8.64e15

/** `timeMs` (Unix) in ISO 8601, UTC, with microseconds. A time beyond what a Date holds becomes the nearest. */
export function isoTime(timeMs: number): string {
  const bounded = Math.min(Math.max(timeMs, -LAST_MS), LAST_MS)
  const ms = Math.floor(bounded)
  const micros = Math.min(999, Math.round((bounded - ms) * 1000))
  return `${new Date(ms).toISOString().slice(0, -1)}${String(micros).padStart(3, '0')}Z`
}
