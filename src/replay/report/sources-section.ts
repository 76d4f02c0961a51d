import { grouped } from '../../grouped.ts'
import type { BucketRecord } from '../bucket-record.ts'
import type { Outcome } from '../outcome.ts'
import type { QueryRow } from '../rows.ts'
import type { Rows } from '../rows-on-demand.ts'
import { type Html, html } from './html.ts'
import { table } from './table.ts'
import { formatElapsed } from './time-axis.ts'

const MOST = 15

/** Those refused most, then those that tried most; where that is equal, the order of the outcome stands. */
export function topSources({ sources }: Outcome): BucketRecord[] {
  let top: BucketRecord[] = []
  for (const record of sources) {
    top.push(record)
    if (top.length === 100 * MOST) top = firstOf(top)
  }
  return firstOf(top)
}

function firstOf(records: BucketRecord[]): BucketRecord[] {
  return records.sort((a, b) => refusals(b) - refusals(a) || b.attempts - a.attempts).slice(0, MOST)
}

/** Attempts that came to nothing. */
function refusals({ refused, refusedByOthers, retransmissions, banned }: BucketRecord): number {
  return refused + refusedByOthers + retransmissions + banned
}

/** @param queries whose DNS queries broke a rule, those refused most first */
export function sourcesSection(top: readonly BucketRecord[], queries: Rows<QueryRow>): Html {
  const titles = [
    ...['Source', 'Service', '>Attempts', '>Accepted', '>By its own limit', '>By other limits'],
    ...['>Repeats', '>By bans', '>First refusal'],
  ]
  const rows = top.map((record) => {
    const { attempts, accepted, refused, refusedByOthers, retransmissions, banned } = record
    const numbers = [attempts, accepted, refused, refusedByOthers, retransmissions, banned].map(grouped)
    return [record.who, record.service.name, ...numbers, firstRefusal(record)]
  })
  return html`<section><h2>Top sources</h2>
<p>A source is an IPv4 address or an IPv6 /64. “By other limits”: by that of its network or of all strangers, or by the
rules for DNS queries.
“Repeats”: refused SYNs that were sent again, and refused again.</p>
${rows.length > 0 ? table('Those refused most, then those that tried most', titles, rows) : html`<p>None.</p>`}
${queries.length > 0 ? queriesTable(queries) : ''}
</section>`
}

function queriesTable(queries: Rows<QueryRow>): Html {
  const more = queries.length > MOST ? `, the first ${MOST} of ${grouped(queries.length)}` : ''
  return table(
    `Whose DNS queries the rules for these refused, and why the first time${more}`,
    ['Source', 'Service', 'Why', '>Attempts', '>Refused', '>First refusal'],
    queries.slice(0, MOST).map(({ source, service, reason, attempts, refused, first }) => {
      const after = `+${formatElapsed(first.afterSeconds * 1000)}`
      return [source, service, reason, grouped(attempts), grouped(refused), after]
    }),
  )
}

function firstRefusal({ firstRefusal, firstRefusalByOthers }: BucketRecord): string {
  const times = [firstRefusal, firstRefusalByOthers].flatMap((moment) => moment?.elapsedMs ?? [])
  return times.length === 0 ? '–' : `+${formatElapsed(Math.min(...times))}`
}
