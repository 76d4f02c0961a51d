import { roughDuration } from '../control/rough-duration.ts'
import { grouped } from '../grouped.ts'
import { changedTotals } from '../replay/changed-totals.ts'
import type { BanRow, RefusedSource } from '../replay/rows.ts'
import type { Rows } from '../replay/rows-on-demand.ts'
import type { Against, PolicySummary, Summary } from '../replay/summary.ts'
import { type Clock, clockOf, columns, firstRows } from './replay-text.ts'
import { formatTable } from './table.ts'

/** What the policy given by `--against` would change, for people. */
export function formatChanges(summary: Summary, against: Against): string {
  const time = clockOf(summary)
  const { newlyLimited, noLongerLimited, newlyBanned, noLongerBanned } = against.changes
  const changes = [
    ...section('Newly limited', newlyLimited, (rows) => limitedTable(rows, time)),
    ...section('No longer limited', noLongerLimited, (rows) => limitedTable(rows, time)),
    ...section('Newly banned', newlyBanned, (rows) => bannedTable(rows, time)),
    ...section('No longer banned', noLongerBanned, (rows) => bannedTable(rows, time)),
  ]
  if (changes.length === 0) changes.push('The same sources are limited and banned.')
  const totals = changedTotals(summary.policy, against)
  const table = formatTable(columns('SERVICE', '>ACCEPTED', '>REFUSED', '>BANNED'), totals)
  const head = [title(summary.policy, against), ...(totals.length > 0 ? [table] : [])].join('\n')
  return [head, ...changes].join('\n\n')
}

/** In shadow mode the same sources are limited, and none of them is stopped. */
function title({ mode }: PolicySummary, against: Against): string {
  return `With ${against.file} instead${against.mode === mode ? '' : `, mode ${against.mode}`}`
}

function section<Row>(title: string, rows: Rows<Row>, table: (rows: Rows<Row>) => string): string[] {
  return rows.length === 0 ? [] : [`${title}: ${grouped(rows.length)}\n${table(rows)}`]
}

function limitedTable(rows: Rows<RefusedSource>, time: Clock): string {
  return firstRows(columns('SOURCE', 'SERVICE', '>AFTER', 'AT', '>REFUSED', '>OF'), rows, (row) => [
    row.source,
    row.service,
    ...time(row.first),
    grouped(row.refused),
    grouped(row.attempts),
  ])
}

function bannedTable(rows: Rows<BanRow>, time: Clock): string {
  return firstRows(columns('SOURCE', 'PORTS', '>AFTER', 'AT', 'FOR', 'REASON'), rows, (row) => [
    row.source,
    row.scope,
    ...time(row),
    roughDuration(row.seconds * 1000),
    row.reason,
  ])
}
