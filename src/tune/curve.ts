import type { Limit } from '../config/policy.ts'
import type { Envelope } from './envelope.ts'
import { RATES, roundBurst } from './ladders.ts'

const HOUR_SECONDS = 3600
const LONGEST_REFILL_SECONDS = 600
const SHORTEST_LAP_SECONDS = 60

/** A limit that lets the wanted share through. */
export interface CurvePoint extends Limit {
  /** Attempts that one attacker gets in an hour: the burst, and what grows meanwhile. */
  readonly anHour: number
  /** Time in which the whole burst grows again. */
  readonly refillSeconds: number
}

/** What a share of buckets needs: one point for each rate at which a policy can hold the burst. */
export interface Curve {
  readonly buckets: number
  /** How many of them each point lets through whole. */
  readonly covered: number
  readonly points: readonly CurvePoint[]
}

/**
 * The demand curve of the `share` (0 to 1) of buckets that need least, at each rate by itself: with fewer
 * than 1 / (1 - share) buckets that is all of them. A capture of less than a minute counts as a minute:
 * else one login in a second of capture would need the rate of a flood.
 */
export function demandCurve(
  buckets: readonly { readonly envelope: Envelope }[],
  share: number,
  capturedSeconds: number,
): Curve {
  const covered = coveredBy(share, buckets.length)
  const lap = Math.max(SHORTEST_LAP_SECONDS, capturedSeconds)
  const points = RATES.flatMap((ratePerSecond, step) => {
    const needed = Float64Array.from(buckets, ({ envelope }) => envelope.burst(step, lap)).sort()
    const burst = covered === 0 ? undefined : roundBurst(needed[covered - 1]!)
    if (burst === undefined) return []
    const anHour = Math.round(burst + ratePerSecond * HOUR_SECONDS)
    return [{ ratePerSecond, burst, anHour, refillSeconds: burst / ratePerSecond }]
  })
  return { buckets: buckets.length, covered, points }
}

/** How many of `count` make at least `share`. Decimal shares are no binary fractions: 0.9 * 10 is not quite 9. */
function coveredBy(share: number, count: number): number {
  return Math.max(0, Math.ceil(share * count - 1e-9))
}

/**
 * A lower rate needs a larger burst. Of the points, the one that gives an attacker least: the fewest
 * attempts in an hour, since a guesser has hours. Honest people have not: who has used up his burst has it
 * back after ten minutes at most.
 */
export function bestPoint({ points }: Curve): CurvePoint | undefined {
  return points.filter(isQuick).sort((a, b) => a.anHour - b.anHour)[0]
}

/** Whether the bucket is full again soon enough. */
export function isQuick({ refillSeconds }: CurvePoint): boolean {
  return refillSeconds <= LONGEST_REFILL_SECONDS
}
