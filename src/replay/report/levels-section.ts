import { describeRate } from '../../config/explain.ts'
import { ALL_PORTS } from '../../control/bans/escalation.ts'
import { grouped } from '../../grouped.ts'
import { LIMIT_KINDS, type LimitKind } from '../../path/compile.ts'
import type { BucketRecord } from '../bucket-record.ts'
import type { BanRow } from '../rows.ts'
import { type Html, html } from './html.ts'
import type { Levels, SourceTraces } from './levels.ts'
import { type Lane, PLOT_HEIGHT, plot } from './plot.ts'
import { rounded, type TimeAxis } from './time-axis.ts'
import type { Trace } from './trace.ts'

const FULL = 6
const EMPTY = 80
const MARKS = 86

const BUCKETS: Readonly<Record<LimitKind, string>> = {
  source: 'its own bucket',
  network: 'bucket of its network',
  total: 'bucket of all strangers',
}

interface Watched {
  readonly source: BucketRecord
  readonly traces: SourceTraces
}

/** Levels of the buckets that a source draws from, for each of `sources` that is known well enough. */
export function levelsSection(
  sources: readonly BucketRecord[],
  levels: Levels,
  bans: readonly BanRow[],
  axis: TimeAxis,
): Html {
  const watched = sources.flatMap((source): Watched[] => {
    const traces = levels.of(source.who, source.service.name)
    return traces === undefined || Object.keys(traces).length === 0 ? [] : [{ source, traces }]
  })
  if (watched.length === 0)
    return html`<section><h2>Levels of buckets</h2><p>No bucket was drawn from.</p></section>`
  return html`<section><h2>Levels of buckets</h2>
<p>The line is how many tokens are left: an attempt takes one, and finds an empty bucket refused. Marks
beneath it are attempts that this very bucket refused; shaded is the time of a ban. The buckets of a network
and of all strangers are drawn from by others too.</p>
<p class="chooser" hidden><label for="source">Source</label> <select id="source">
${watched.map((each, i) => html`<option value="${i}">${nameOf(each)}</option>`)}
</select></p>
${watched.map(
  (each, i) =>
    html`<figure data-source="${i}"><h3>${nameOf(each)}</h3>${plot(axis, lanesOf(each, bans, axis), 'levels')}</figure>`,
)}
</section>`
}

function nameOf({ source }: Watched): string {
  return `${source.who}, ${source.service.name}`
}

function lanesOf({ source, traces }: Watched, bans: readonly BanRow[], axis: TimeAxis): Lane[] {
  const { name } = source.service
  const inForce = bans.filter(
    (ban) => ban.source === source.who && ban.mode === 'enforce' && [ALL_PORTS, name].includes(ban.scope),
  )
  return LIMIT_KINDS.flatMap((kind) => {
    const trace = traces[kind]
    if (trace === undefined) return []
    const { burst, ratePerSecond } = trace.limit
    const shading = kind === 'source' ? inForce.map((ban) => shade(ban, axis)) : []
    return [
      {
        title: BUCKETS[kind],
        detail: `${grouped(burst)} at once, then ${describeRate(ratePerSecond)}; ${fewestLeft(trace)}`,
        shapes: html`${shading}${line(trace, axis)}<path class="mark" d="${marks(trace, axis)}"/>`,
      },
    ]
  })
}

function fewestLeft({ levels: { values } }: Trace): string {
  if (values.length === 0) return 'never drawn from'
  const fewest = Math.floor(values.reduce((a, b) => Math.min(a, b)))
  return `${grouped(fewest)} left at the lowest`
}

function shade({ afterSeconds, seconds }: BanRow, axis: TimeAxis): Html {
  const { x, width } = axis.span(afterSeconds * 1000, seconds * 1000)
  return html`<rect class="during" x="${x}" y="0" width="${width}" height="${PLOT_HEIGHT}"/>`
}

function line(trace: Trace, axis: TimeAxis): Html {
  const first = trace.levels.atMs[0]
  if (first === undefined) return html``
  const path = levelPath(trace, axis)
  const area = `${path}V${EMPTY}H${axis.x(first)}Z`
  return html`<path class="below" d="${area}"/><path class="level" d="${path}"/>`
}

/** From the first attempt to the end: straight up while tokens grow, straight down where one is taken. */
function levelPath({ limit: { burst, ratePerSecond }, levels }: Trace, axis: TimeAxis): string {
  const y = (level: number) => rounded(EMPTY - (EMPTY - FULL) * (level / burst))
  let level = burst
  let fromMs = levels.atMs[0]!
  let path = `M${axis.x(fromMs)} ${y(burst)}`
  const grow = (untilMs: number) => {
    const fullMs = fromMs + ((burst - level) / ratePerSecond) * 1000
    if (fullMs < untilMs) path += `L${axis.x(fullMs)} ${y(burst)}`
    level = fullMs < untilMs ? burst : level + ((untilMs - fromMs) / 1000) * ratePerSecond
    path += `L${axis.x(untilMs)} ${y(level)}`
    fromMs = untilMs
  }
  for (const [i, value] of levels.values.entries()) {
    grow(levels.atMs[i]!)
    level = value
    path += `V${y(level)}`
  }
  grow(axis.endMs)
  return path
}

function marks({ refusals }: Trace, axis: TimeAxis): string {
  return refusals.atMs.map((atMs) => `M${axis.x(atMs)} ${MARKS}V${PLOT_HEIGHT}`).join('')
}
