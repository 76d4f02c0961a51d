import { grouped } from '../../grouped.ts'
import type { ServiceRow } from '../rows.ts'
import { type Html, html } from './html.ts'
import { type Lane, PLOT_HEIGHT, plot } from './plot.ts'
import { formatElapsed, rounded, type TimeAxis } from './time-axis.ts'
import { FATES, type Fate, type Timeline } from './timeline.ts'

const SHADOWED: Readonly<Record<Fate, string>> = {
  accepted: 'accepted',
  refused: 'would be refused',
  banned: 'dropped by a ban',
}
const ENFORCED: Readonly<Record<Fate, string>> = { ...SHADOWED, refused: 'refused' }

/** Attempts over time: a figure for each service that had any. */
export function timelineSection(services: readonly ServiceRow[], timeline: Timeline, axis: TimeAxis): Html {
  const seen = services.filter(({ attempts }) => attempts > 0)
  const figures = seen.map(
    (row) =>
      html`<figure><h3>${row.service}</h3>${plot(axis, lanesOf(row, timeline, axis), 'timeline')}</figure>`,
  )
  if (seen.length === 0) return html``
  return html`<section><h2>Accepted and refused</h2>
<p>Attempts in each ${formatElapsed(timeline.binMs)}, by time since the first packet. Each row has a scale of its
own: its highest bar is the number that stands beside it. Accepted are also those on the allow list.</p>
${figures}
</section>`
}

function lanesOf({ service, mode }: ServiceRow, timeline: Timeline, axis: TimeAxis): Lane[] {
  const names = mode === 'shadow' ? SHADOWED : ENFORCED
  return FATES.flatMap((fate) => {
    const bins = timeline.bins(service, fate)
    const most = bins.reduce((a, b) => Math.max(a, b))
    if (most === 0) return []
    const sum = bins.reduce((a, b) => a + b)
    const detail = `${grouped(sum)}, at most ${grouped(most)} in ${formatElapsed(timeline.binMs)}`
    const shapes = html`<path class="${fate}" d="${bars(bins, most, timeline.binMs, axis)}"/>`
    return [{ title: names[fate], detail, shapes }]
  })
}

function bars(bins: Float64Array, most: number, binMs: number, axis: TimeAxis): string {
  return [...bins]
    .map((count, i) => {
      if (count === 0) return ''
      const top = rounded(PLOT_HEIGHT * (1 - count / most))
      return `M${axis.x(i * binMs)} ${PLOT_HEIGHT}V${top}H${axis.x((i + 1) * binMs)}V${PLOT_HEIGHT}Z`
    })
    .join('')
}
