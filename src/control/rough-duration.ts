const UNITS = [
  ['w', 7 * 86_400],
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
] as const

/**
 * `ms` for people, to its two largest units: `9m 58s`, `4h`, `2w 3d`. Less than half a second is `0s`.
 * What must be exact, as in a policy, is written by src/config/values.ts.
 */
export function roughDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  const largest = UNITS.findIndex(([, size]) => seconds >= size)
  if (largest < 0) return '0s'
  let rest = seconds
  const parts = UNITS.slice(largest, largest + 2).flatMap(([unit, size]) => {
    const count = Math.floor(rest / size)
    rest -= count * size
    return count === 0 ? [] : [`${count}${unit}`]
  })
  return parts.join(' ')
}
