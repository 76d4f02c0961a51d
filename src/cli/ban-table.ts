import type { BanRow } from '../control/requests/rows.ts'
import { roughDuration } from '../control/rough-duration.ts'
import { formatTable } from './table.ts'

const COLUMNS = [
  { title: 'SOURCE' },
  { title: 'PORTS' },
  { title: 'SINCE' },
  { title: 'ENDS' },
  { title: 'OFFENCE', align: 'right' },
  { title: 'PROOF' },
  { title: 'REASON' },
] as const

/** Bans for people. @param nowMs for "3m ago". */
export function formatBans(bans: readonly BanRow[], nowMs = Date.now()): string {
  return formatTable(
    COLUMNS,
    bans.map((ban) => [
      ban.prefix,
      ports(ban),
      `${roughDuration(nowMs - Date.parse(ban.since))} ago`,
      end(ban),
      ban.offence?.toString() ?? '-',
      PROOFS[ban.proof],
      ban.reason,
    ]),
  )
}

/** In one word; `sluice explain` has a sentence. */
const PROOFS: Readonly<Record<BanRow['proof'], string>> = {
  handshake: 'handshake',
  none: 'none',
  manual: 'by hand',
}

function ports({ scope, mode }: BanRow): string {
  return mode === 'shadow' ? `${scope} (shadow)` : scope
}

function end({ secondsLeft }: BanRow): string {
  return secondsLeft === null ? 'never' : `in ${roughDuration(secondsLeft * 1000)}`
}
