import type { BanPolicy } from '../../config/policy.ts'

/** The longest timeout that an ipset entry can have (IPSET_MAX_TIMEOUT in linux/netfilter/ipset/ip_set.h). */
export const LONGEST_BAN_SECONDS = 2_147_483

/** The scope of a ban that covers every port. */
export const ALL_PORTS = 'all'

/** What the `offence`-th offence of a source (counted from 1) over `service` costs it. */
export interface Sentence {
  readonly durationMs: number
  /** A service's name, or `ALL_PORTS`. */
  readonly scope: string
}

/**
 * Ban time: `firstMs` times `factor` for each offence before this one, `longestMs` at most, and a random
 * share on top, so that bans given together don't end together.
 *
 * @param random returns a number from 0 to 1.
 */
export function sentence(
  policy: BanPolicy,
  offence: number,
  service: string,
  random: () => number,
): Sentence {
  const plainMs = Math.min(policy.firstMs * policy.factor ** (offence - 1), policy.longestMs)
  const durationMs = Math.min(plainMs * (1 + policy.jitter * random()), LONGEST_BAN_SECONDS * 1000)
  return { durationMs, scope: offence >= policy.allPortsFrom ? ALL_PORTS : service }
}
