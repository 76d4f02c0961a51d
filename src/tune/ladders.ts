import type { Limit } from '../config/policy.ts'

const DECADES = [1, 10, 100, 1000, 10_000, 100_000]

/**
 * Rates that a person would write, in tokens a second, ascending: 1/min to 1,000,000/s. None is lower: who
 * mistypes a password three times must get in, whatever a quiet day's capture shows.
 */
export const RATES: readonly number[] = [
  ...[1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40].map((perMinute) => perMinute / 60),
  ...DECADES.flatMap((size) => [1, 2, 3, 5].map((digit) => digit * size)),
  1_000_000,
]

/** Bursts that a person would write, ascending: 5, for the same reason, to the most that a policy allows. */
const BURSTS: readonly number[] = [
  ...DECADES.flatMap((size) => [1, 1.5, 2, 3, 4, 5, 6, 8].map((digit) => digit * size)),
  1_000_000,
].filter((burst) => burst >= 5)

/** The next burst of the ladder; `undefined` where no policy can hold so much. */
export function roundBurst(burst: number): number | undefined {
  return BURSTS.find((step) => step >= burst)
}

/**
 * `limit`, or as much more as it takes to hold `times` what `inner` holds, on the ladders; `limit` itself
 * where it holds that much.
 */
export function widened(limit: Limit, inner: Limit, times: number): Limit {
  const burst = inner.burst * times
  const rate = inner.ratePerSecond * times
  if (limit.burst >= burst && limit.ratePerSecond >= rate) return limit
  return {
    burst: Math.max(limit.burst, roundBurst(burst) ?? BURSTS.at(-1)!),
    ratePerSecond: Math.max(limit.ratePerSecond, RATES.find((step) => step >= rate) ?? RATES.at(-1)!),
  }
}
