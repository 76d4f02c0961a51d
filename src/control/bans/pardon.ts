import type { Service } from '../../config/policy.ts'
import { formatPrefix, type Prefix, SOURCE_BITS, widen } from '../../net/prefix.ts'
import type { Evidence } from '../evidence/evidence.ts'
import type { BanState, DaemonState } from '../state.ts'
import { pathClockMs } from '../threads/path-clock.ts'
import type { PathThreads } from '../threads/path-threads.ts'

/**
 * Sources whose buckets are looked for one by one: all of an IPv4 /20 or an IPv6 /52. In a wider network strikes
 * and empty buckets stay until they are over by themselves, within minutes as a rule.
 */
const SOURCES_MAX = 4096

/** What was held against a source, or against those in a network, and is no more. */
export interface Cleared {
  readonly strikes: number
  readonly offences: number
  readonly failedLogins: number
  /** Of how many sources that was; a network that has offended counts as one. */
  readonly sources: number
  /** Whether the network was too wide to look for the strikes in it. */
  readonly strikesStay: boolean
}

/** What a pardon needs besides the bans: the path's strikes. */
export interface PardonState extends BanState, Pick<DaemonState, 'slots'> {
  readonly threads: Pick<PathThreads, 'bucketsOf' | 'clear'>
  readonly evidence: Pick<Evidence, 'pardon'>
}

/** Forgets, for `services`, all that is held against `prefix` and the sources in it. Changes no ban. */
export function pardon(state: PardonState, prefix: Prefix, services: readonly Service[]): Cleared {
  const { enforced, watched, evidence } = state
  // Of a part of an IPv6 /64 nothing is known by itself.
  const range = widen(prefix, SOURCE_BITS[prefix.family])
  const strikes = clearStrikes(state, range, services)
  const failedLogins = evidence.pardon(range, services)
  const offences = [enforced.forget(range), watched.forget(range)]
  const all = [strikes ?? new Map<string, number>(), failedLogins, ...offences]
  return {
    strikes: sum(strikes),
    offences: offences.reduce((count, each) => count + sum(each), 0),
    failedLogins: sum(failedLogins),
    sources: new Set(all.flatMap((each) => [...each.keys()])).size,
    strikesStay: strikes === undefined,
  }
}

/** Fills the buckets of the sources in `prefix`. @returns their strikes; `undefined`: they are too many */
function clearStrikes(
  { slots, threads }: PardonState,
  prefix: Prefix,
  services: readonly Service[],
): Map<string, number> | undefined {
  const bits = SOURCE_BITS[prefix.family]
  if (2 ** (bits - prefix.length) > SOURCES_MAX) return undefined
  const numbers = services.map(({ name }) => slots.slotOf(name))
  const found = new Map<string, number>()
  for (const source of sourcesIn(prefix, bits)) {
    const strikes = numbers.reduce(
      (count, slot) => count + threads.bucketsOf(source, slot, pathClockMs()).strikes,
      0,
    )
    threads.clear(source, numbers)
    if (strikes > 0) found.set(formatPrefix(source), strikes)
  }
  return found
}

/** All prefixes of `bits` in `prefix`, which ends within the byte before them or the one before that. */
function* sourcesIn(prefix: Prefix, bits: number): Generator<Prefix> {
  const last = bits / 8 - 1
  for (let i = 0; i < 2 ** (bits - prefix.length); i++) {
    const bytes = Uint8Array.from(prefix.bytes)
    bytes[last]! |= i & 0xff
    bytes[last - 1]! |= i >> 8
    yield { family: prefix.family, bytes, length: bits }
  }
}

function sum(counts: ReadonlyMap<string, number> | undefined): number {
  return [...(counts?.values() ?? [])].reduce((total, each) => total + each, 0)
}
