import { banRows, refusedSources } from './make-rows.ts'
import type { Outcome } from './outcome.ts'
import type { BanRow, RefusedSource } from './rows.ts'
import type { Rows } from './rows-on-demand.ts'

/**
 * What a second policy would change, over the same packets. A refusal in shadow mode counts as one: what
 * the limits say is compared, not whether they are enforced yet.
 */
export interface Comparison {
  /** Refused by the second policy and not by the first, by service; and the other way round. */
  readonly newlyLimited: Rows<RefusedSource>
  readonly noLongerLimited: Rows<RefusedSource>
  /** The first ban of each source that only the second policy bans; and the other way round. */
  readonly newlyBanned: readonly BanRow[]
  readonly noLongerBanned: readonly BanRow[]
}

export function compareOutcomes(before: Outcome, after: Outcome): Comparison {
  const limited = [refusedSources(before), refusedSources(after)] as const
  const banned = [firstBans(before), firstBans(after)] as const
  const limitedKey = ({ source, service }: RefusedSource) => `${source} ${service}`
  const bannedKey = ({ source }: BanRow) => source
  return {
    newlyLimited: without(limited[1], limited[0], limitedKey),
    noLongerLimited: without(limited[0], limited[1], limitedKey),
    newlyBanned: without(banned[1], banned[0], bannedKey),
    noLongerBanned: without(banned[0], banned[1], bannedKey),
  }
}

function firstBans(outcome: Outcome): BanRow[] {
  const first = new Map<string, BanRow>()
  for (const ban of banRows(outcome)) if (!first.has(ban.source)) first.set(ban.source, ban)
  return [...first.values()]
}

/** The `rows` whose key no row of `others` has. */
function without<Row, List extends Iterable<Row> & { filter(isWanted: (row: Row) => boolean): List }>(
  rows: List,
  others: List,
  keyOf: (row: Row) => string,
): List {
  const known = new Set<string>()
  for (const row of others) known.add(keyOf(row))
  return rows.filter((row) => !known.has(keyOf(row)))
}
