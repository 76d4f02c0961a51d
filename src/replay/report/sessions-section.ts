import { grouped } from '../../grouped.ts'
import type { ServiceRow, SourceSessions } from '../rows.ts'
import type { Rows } from '../rows-on-demand.ts'
import { type Html, html } from './html.ts'
import { table } from './table.ts'
import { formatElapsed } from './time-axis.ts'

const MOST = 40

/** How the logins went, as far as the volume of the sessions tells. */
export function sessionsSection(services: readonly ServiceRow[], rows: Rows<SourceSessions>): Html | '' {
  if (rows.length === 0) return ''
  const judged = services.filter(({ sessions }) => Object.values(sessions).some((count) => count > 0))
  const more = rows.length - MOST
  return html`<section><h2>Sessions</h2>
${table(
  'How the logins went, judged by volume and time: see docs/outcomes.md',
  ['Service', '>Failed', '>Succeeded', '>Unclear'],
  judged.map(({ service, sessions: { failed, succeeded, unclear } }) => [
    service,
    ...[failed, succeeded, unclear].map(grouped),
  ]),
)}
${table(
  'By source, those with most failed ones first',
  ['Source', 'Service', '>Failed', '>Tries in these, about', '>Succeeded', '>Unclear', '>First', '>Last'],
  rows
    .slice(0, MOST)
    .map((row) => [
      row.source,
      row.service,
      ...[row.failed, row.tries, row.succeeded, row.unclear].map(grouped),
      ...[row.first, row.last].map(({ afterSeconds }) => formatElapsed(afterSeconds * 1000)),
    ]),
)}
${more > 0 ? html`<p>And ${grouped(more)} more.</p>` : ''}</section>`
}
