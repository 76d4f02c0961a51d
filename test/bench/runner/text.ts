import type { Metric } from './bench.ts'
import { describeMachine } from './machine.ts'
import { type BenchResult, type CaseResult, caseTitle, type TargetResult } from './results.ts'
import { summarize } from './statistics.ts'

/** A value in its unit with three significant digits. */
export function formatValue(value: number, { unit, unitSize = 1 }: Metric): string {
  return `${formatNumber(value / unitSize)}${unit === '' ? '' : ` ${unit}`}`
}

export function formatNumber(value: number): string {
  const digits = value === 0 ? 0 : Math.max(0, Math.min(3, 2 - Math.floor(Math.log10(Math.abs(value)))))
  return value.toLocaleString('en-US', { maximumFractionDigits: digits })
}

/** The result of one bench for a terminal: a table for each case, then the targets. */
export function benchAsText(result: BenchResult): string {
  const head = [`${result.bench}: ${result.question}`, describeMachine(result.machine)]
  const method = `median of ${result.rounds} interleaved rounds (min to max)`
  const cases = result.cases.flatMap((each) => [
    '',
    `  ${caseTitle(each, result)}`,
    ...caseRows(each, result.metrics),
  ])
  const targets = result.targets.map(targetRow)
  return [...head, method, ...cases, '', ...targets, ...result.notes.map((note) => `  ${note}`), ''].join(
    '\n',
  )
}

function caseRows({ contestants }: CaseResult, metrics: Readonly<Record<string, Metric>>): string[] {
  const names = Object.keys(contestants)
  const shown = Object.keys(metrics).filter((key) =>
    names.some((name) => contestants[name]![0]?.[key] !== undefined),
  )
  const rows = names.map((name) => [
    name,
    ...shown.map((key) => cell(contestants[name]!, key, metrics[key]!)),
  ])
  return align([['', ...shown], ...rows]).map((line) => `    ${line}`)
}

function cell(rounds: CaseResult['contestants'][string], key: string, metric: Metric): string {
  const values = rounds.map((figures) => figures[key]).filter((value) => value !== undefined)
  if (values.length === 0) return ''
  const { median, min, max } = summarize(values)
  const unitSize = metric.unitSize ?? 1
  return `${formatValue(median, metric)} (${formatNumber(min / unitSize)} to ${formatNumber(max / unitSize)})`
}

function targetRow(target: TargetResult): string {
  const bound = boundOf(target)
  const word = bound === '' ? '      ' : target.isMet ? 'ok    ' : 'MISSED'
  const range = `(${formatNumber(target.min)} to ${formatNumber(target.max)})`
  return `  ${word} ${target.name}: ${formatNumber(target.median)} ${range}${bound}`
}

/** `, at least 0.9`, or nothing. */
export function boundOf({ atLeast, atMost }: TargetResult): string {
  if (atLeast !== undefined) return `, at least ${formatNumber(atLeast)}`
  return atMost === undefined ? '' : `, at most ${formatNumber(atMost)}`
}

function align(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
}
