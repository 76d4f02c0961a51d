import { roughDuration } from '../../control/rough-duration.ts'

/** Width of every plot in its own units, whatever its width on the page. */
export const PLOT_WIDTH = 1000

const MOST_STEPS = 6
const SECOND = 1000
const DAY = 86_400 * SECOND

/** Steps that people count time in, in ms. */
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800].map((seconds) => seconds * SECOND),
  ...[1, 2, 3, 6, 12].map((hours) => hours * 3600 * SECOND),
]

/** Time since the first packet, from left to right. */
export class TimeAxis {
  readonly endMs: number
  readonly ticks: readonly { readonly x: number; readonly text: string }[]

  /** @param endMs of the last packet; an empty span is shown as one second. */
  constructor(endMs: number) {
    this.endMs = endMs > 0 ? endMs : SECOND
    const step = stepFor(this.endMs)
    const count = Math.floor(this.endMs / step) + 1
    this.ticks = Array.from({ length: count }, (_, i) => ({
      x: this.x(i * step),
      text: formatElapsed(i * step),
    }))
  }

  /** Where a time is in a plot; what lies beyond an end is moved there. */
  x(atMs: number): number {
    const share = Math.min(Math.max(atMs / this.endMs, 0), 1)
    return rounded(share * PLOT_WIDTH)
  }

  /** Where a stretch of time is, as far as the plot has it. */
  span(fromMs: number, lengthMs: number): { readonly x: number; readonly width: number } {
    const x = this.x(fromMs)
    return { x, width: rounded(this.x(fromMs + lengthMs) - x) }
  }
}

/** To a hundredth: finer than any screen, and short to write. */
export function rounded(value: number): number {
  return Math.round(value * 100) / 100
}

/** `16ms`, `1.5s`, then as `roughDuration`. */
export function formatElapsed(ms: number): string {
  if (ms === 0) return '0'
  if (ms < SECOND) return `${Number(ms.toPrecision(3))}ms`
  if (ms < 60 * SECOND) return `${Number((ms / SECOND).toFixed(1))}s`
  return roughDuration(ms)
}

function stepFor(endMs: number): number {
  const known = STEPS.find((step) => endMs / step <= MOST_STEPS)
  if (known !== undefined) return known
  let step = DAY
  while (endMs / step > MOST_STEPS) step *= 2
  return step
}
