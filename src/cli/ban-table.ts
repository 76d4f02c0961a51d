import { roughDuration } from '../control/rough-duration.ts'
import type { BanRow } from '../control/rows.ts'
import { formatTable } from './table.ts'

const COLUMNS = [
  { title: 'SOURCE' },
  { title: 'PORTS' },
  { title: 'ENDS' },
  { title: 'OFFENCE', align: 'right' },
  { title: 'REASON' },
] as const

/** Bans for people. */
export function formatBans(bans: readonly BanRow[]): string {
  return formatTable(
    COLUMNS,
    bans.map((ban) => [ban.prefix, ports(ban), end(ban), ban.offence?.toString() ?? '-', ban.reason]),
  )
}

function ports({ scope, mode }: BanRow): string {
  return mode === 'shadow' ? `${scope} (shadow)` : scope
}

function end({ secondsLeft }: BanRow): string {
  return secondsLeft === null ? 'never' : `in ${roughDuration(secondsLeft * 1000)}`
}
