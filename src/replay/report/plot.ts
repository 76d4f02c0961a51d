import { type Html, html } from './html.ts'
import { PLOT_WIDTH, type TimeAxis } from './time-axis.ts'

/** Height of a plot in its own units. */
export const PLOT_HEIGHT = 100

/** One plot of a stack that shares its time axis. */
export interface Lane {
  /** Stands beside the plot, or above it where the page is narrow. */
  readonly title: string
  readonly detail: string
  /** SVG shapes in units of `PLOT_WIDTH` and `PLOT_HEIGHT`. */
  readonly shapes: Html
}

/** Lanes one below the other, with the axis beneath. Shapes stretch with the page; text does not. */
export function plot(axis: TimeAxis, lanes: readonly Lane[], className: string): Html {
  const grid = axis.ticks.map(({ x }) => `M${x} 0V${PLOT_HEIGHT}`).join('')
  return html`<div class="plot ${className}">
${lanes.map(
  ({ title, detail, shapes }) => html`<div class="lane"><b>${title}</b> <span>${detail}</span></div>
<svg class="area" viewBox="0 0 ${PLOT_WIDTH} ${PLOT_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${title}, ${detail}"><path class="grid" d="${grid}"/>${shapes}</svg>`,
)}
<div class="lane axis"></div>
<svg class="axis" aria-hidden="true">${axis.ticks.map(
    ({ x, text }) => html`<text x="${(x / PLOT_WIDTH) * 100}%" y="14" class="${anchorOf(x)}">${text}</text>`,
  )}</svg>
</div>`
}

/** At both ends of the axis, text would stand out of the picture. */
function anchorOf(x: number): string {
  if (x < PLOT_WIDTH * 0.04) return 'first'
  return x > PLOT_WIDTH * 0.96 ? 'last' : 'between'
}
