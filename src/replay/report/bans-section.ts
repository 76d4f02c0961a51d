import { ALL_PORTS } from '../../control/bans/escalation.ts'
import { roughDuration } from '../../control/rough-duration.ts'
import { grouped } from '../../grouped.ts'
import type { BanRow } from '../rows.ts'
import { type Html, html } from './html.ts'
import { type Lane, plot } from './plot.ts'
import { table } from './table.ts'
import { formatElapsed, type TimeAxis } from './time-axis.ts'

const MOST = 40
const TOP = 15
const BOTTOM = 85

/** Bans as bars, and as a table: those of the first sources. @param jitter share of their time that chance adds */
export function bansSection(bans: readonly BanRow[], jitter: number, axis: TimeAxis): Html {
  if (bans.length === 0) return html`<section><h2>Bans</h2><p>Nobody would have been banned.</p></section>`
  const groups = groupBans(bans)
  const shown = groups.slice(0, MOST)
  const longer = jitter === 0 ? '' : ` The daemon adds up to ${Math.round(jitter * 100)} % at random.`
  const more = groups.length - shown.length
  return html`<section><h2>Bans</h2>
<p>A bar that touches the right edge goes on beyond the capture.${longer} Dashed: a ban in shadow mode, which
drops nothing.${more > 0 ? ` Shown are the first ${MOST} bars; ${grouped(more)} more are not.` : ''}</p>
<figure>${plot(
    axis,
    shown.map((group) => lane(group, axis)),
    'bans',
  )}</figure>
${banTable('The bans shown above', shown.flat())}
</section>`
}

/** What is known of each ban. */
export function banTable(caption: string, bans: readonly BanRow[]): Html {
  return table(
    caption,
    ['Source', 'Ports of', 'Mode', '>From', 'At (UTC)', '>For', '>Offence', '>Attempts dropped', 'Reason'],
    bans.map((ban) => [
      ban.source,
      ban.scope,
      ban.mode,
      `+${formatElapsed(ban.afterSeconds * 1000)}`,
      clockTime(ban.at),
      roughDuration(ban.seconds * 1000),
      ban.offence === null ? '–' : grouped(ban.offence),
      grouped(ban.dropped),
      ban.reason,
    ]),
  )
}

/** ISO 8601 for people, to the second. */
export function clockTime(iso: string): string {
  return iso.replace('T', ' ').replace(/\.\d+Z$/, '')
}

/** Those of one source and scope together: they share a lane. */
function groupBans(bans: readonly BanRow[]): BanRow[][] {
  const groups = new Map<string, BanRow[]>()
  for (const ban of bans) {
    const key = `${ban.source} ${ban.scope}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [ban])
    else group.push(ban)
  }
  return [...groups.values()]
}

function lane(bans: readonly BanRow[], axis: TimeAxis): Lane {
  const [{ source, scope }] = bans as readonly [BanRow]
  const times = bans.map(({ seconds }) => roughDuration(seconds * 1000))
  return {
    title: source,
    detail: `${scope === ALL_PORTS ? 'all ports' : scope}: ${times.join(', ')}`,
    shapes: html`${bans.map((ban) => bar(ban, axis))}`,
  }
}

function bar({ afterSeconds, seconds, mode }: BanRow, axis: TimeAxis): Html {
  const { x, width } = axis.span(afterSeconds * 1000, seconds * 1000)
  const look = mode === 'shadow' ? 'shadow' : 'banned'
  return html`<rect class="${look}" x="${x}" y="${TOP}" width="${width}" height="${BOTTOM - TOP}"/>`
}
