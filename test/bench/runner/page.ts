import type { Metric } from './bench.ts'
import { describeMachine } from './machine.ts'
import { type BenchResult, caseTitle, type TargetResult } from './results.ts'
import { summarize } from './statistics.ts'
import { boundOf, formatNumber, formatValue } from './text.ts'

const LABEL_PX = 300
const BAR_PX = 420
const ROW_PX = 22

/** One page with everything in it, for light and dark, without a script. */
export function pageOf(results: readonly BenchResult[]): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>sluice: benches</title>
<style>
  :root { color-scheme: light dark; --bar: #3b7dd8; --peer: #9a9a9a; --bad: #c0392b; --good: #2e8b57 }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
  svg { display: block; max-width: 100%; font: 12px system-ui, sans-serif }
  svg text { fill: currentColor }
  .whisker { stroke: currentColor; stroke-width: 1.5 }
  .case { font-weight: 600 }
  table { border-collapse: collapse; margin: 1rem 0 }
  td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top }
  td.number { text-align: right; font-variant-numeric: tabular-nums }
  .missed { color: var(--bad) } .met { color: var(--good) }
  small, .method { color: GrayText }
</style>
<h1>sluice: benches</h1>
<p class="method">Bars are medians, lines reach from the least to the most. Only ratios travel to other machines.
${results.map(section).join('\n')}
</html>
`
}

function section(result: BenchResult): string {
  const method = `${result.rounds} interleaved rounds, ${result.startedAt}, ${describeMachine(result.machine)}`
  const plots = Object.entries(result.metrics).map(([key, metric]) => plot(result, key, metric))
  const notes = result.notes.map((note) => `<p>${inHtml(note)}`)
  return `<section>
<h2 id="${result.bench}">${result.bench}: ${inHtml(result.question)}</h2>
<p class="method">${inHtml(method)}
${targetTable(result.targets)}
${plots.join('\n')}
${notes.join('\n')}
</section>`
}

function targetTable(targets: readonly TargetResult[]): string {
  const rows = targets.map((target) => {
    const bound = boundOf(target)
    const verdict = bound === '' ? '' : target.isMet ? 'met' : 'missed'
    const range = `${formatNumber(target.min)} to ${formatNumber(target.max)}`
    const cells = [
      `<td>${inHtml(target.name)}`,
      `<td class="number">${formatNumber(target.median)}`,
      `<td><small>${range}</small>`,
      `<td>${bound.replace(/^, /, '')}`,
      `<td class="${verdict}">${verdict}`,
    ]
    return `<tr>${cells.join('')}`
  })
  return `<table>${rows.join('\n')}</table>`
}

interface Bar {
  readonly label: string
  readonly isCase: boolean
  readonly values: readonly number[]
}

/** Horizontal bars of one metric: the cases below each other, in each the contestants. */
function plot(result: BenchResult, key: string, metric: Metric): string {
  const bars = result.cases.flatMap((each) => {
    const measured = Object.entries(each.contestants)
      .map(([label, rounds]): Bar => ({ label, isCase: false, values: valuesOf(rounds, key) }))
      .filter(({ values }) => values.length > 0)
    return measured.length === 0
      ? []
      : [{ label: caseTitle(each, result), isCase: true, values: [] }, ...measured]
  })
  const most = Math.max(...bars.flatMap(({ values }) => values))
  if (!(most > 0)) return ''
  const height = bars.length * ROW_PX
  const rows = bars.map((bar, i) => row(bar, i * ROW_PX, most, metric))
  return `<h3>${inHtml(key)}${metric.isCost ? ' <small>(less is better)</small>' : ''}</h3>
<svg viewBox="0 0 ${LABEL_PX + BAR_PX + 220} ${height}" role="img" aria-label="${inHtml(key)}">
${rows.join('\n')}
</svg>`
}

function row({ label, isCase, values }: Bar, top: number, most: number, metric: Metric): string {
  const middle = top + ROW_PX / 2
  const text = `<text x="${isCase ? 0 : 16}" y="${middle + 4}"${isCase ? ' class="case"' : ''}>${inHtml(label)}</text>`
  if (isCase) return text
  const { median, min, max } = summarize(values)
  const x = (value: number) => (LABEL_PX + (value / most) * BAR_PX).toFixed(1)
  const width = ((median / most) * BAR_PX).toFixed(1)
  const color = label.startsWith('sluice') ? 'var(--bar)' : 'var(--peer)'
  const ends = `${formatNumber(min / (metric.unitSize ?? 1))} to ${formatNumber(max / (metric.unitSize ?? 1))}`
  return `${text}<rect x="${LABEL_PX}" y="${top + 3}" width="${width}" height="${ROW_PX - 6}" fill="${color}"/>
<line class="whisker" x1="${x(min)}" x2="${x(max)}" y1="${middle}" y2="${middle}"/>
<text x="${Number(x(max)) + 8}" y="${middle + 4}">${formatValue(median, metric)} (${ends})</text>`
}

function valuesOf(rounds: readonly Readonly<Record<string, number>>[], key: string): number[] {
  return rounds.map((figures) => figures[key]).filter((value) => value !== undefined)
}

function inHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
