import { grouped } from '../../grouped.ts'
import { changedTotals } from '../changed-totals.ts'
import type { BanRow, RefusedSource } from '../rows.ts'
import type { Rows } from '../rows-on-demand.ts'
import type { Against, PolicySummary } from '../summary.ts'
import { banTable } from './bans-section.ts'
import { type Html, html } from './html.ts'
import { table } from './table.ts'
import { formatElapsed } from './time-axis.ts'

const MOST = 40

/** What another policy would change. */
export function changesSection(before: PolicySummary, against: Against): Html {
  const { file, mode, changes } = against
  const tables = [
    ...firstRows('Newly limited', changes.newlyLimited, limitedTable),
    ...firstRows('No longer limited', changes.noLongerLimited, limitedTable),
    ...firstRows('Newly banned', changes.newlyBanned, banTable),
    ...firstRows('No longer banned', changes.noLongerBanned, banTable),
  ]
  const totals = changedTotals(before, against)
  return html`<section><h2>With another policy</h2>
<p>What would change with ${file}${mode === before.mode ? '' : `, mode ${mode}`}:</p>
${totals.length === 0 ? '' : table('Before and after', ['Service', '>Accepted', '>Refused', '>Dropped by bans'], totals)}
${tables.length > 0 ? tables : html`<p>The same sources are limited and banned.</p>`}
</section>`
}

function firstRows<Row extends RefusedSource | BanRow>(
  title: string,
  rows: Rows<Row>,
  toTable: (caption: string, rows: readonly Row[]) => Html,
): Html[] {
  if (rows.length === 0) return []
  const more = rows.length > MOST ? `, the first ${MOST}` : ''
  return [toTable(`${title}: ${grouped(rows.length)}${more}`, rows.slice(0, MOST))]
}

function limitedTable(caption: string, rows: readonly RefusedSource[]): Html {
  return table(
    caption,
    ['Source', 'Service', '>First refusal', '>Refused', '>Attempts'],
    rows.map(({ source, service, first, refused, attempts }) => [
      source,
      service,
      `+${formatElapsed(first.afterSeconds * 1000)}`,
      grouped(refused),
      grouped(attempts),
    ]),
  )
}
