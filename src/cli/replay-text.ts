import { roughDuration } from '../control/rough-duration.ts'
import { grouped } from '../grouped.ts'
import type { At } from '../replay/rows.ts'
import type { Rows } from '../replay/rows-on-demand.ts'
import type { Summary } from '../replay/summary.ts'
import { type Column, formatTable } from './table.ts'

/** Of each kind; `--json` has all. */
const MOST_ROWS = 20
const WIDTH = 96

/** Writes a moment as two cells: since the first packet, and by the capture's clock. */
export type Clock = (at: At | null) => [after: string, at: string]

/** The year is said at the head; within one day, the date too. */
export function clockOf({ from, to }: Pick<Summary, 'from' | 'to'>): Clock {
  const isOneDay = from?.slice(0, 10) === to?.slice(0, 10)
  return (moment) => {
    if (moment === null) return ['-', '-']
    const { at, afterSeconds } = moment
    const after = afterSeconds < 60 ? `${afterSeconds.toFixed(1)}s` : roughDuration(afterSeconds * 1000)
    return [`+${after}`, dateTime(at).slice(isOneDay ? -8 : -14)]
  }
}

/** The first rows, and how many more there are. */
export function firstRows<Row>(
  columns: readonly Column[],
  rows: Rows<Row>,
  cells: (row: Row) => readonly string[],
): string {
  const table = formatTable(columns, rows.slice(0, MOST_ROWS).map(cells))
  const more = rows.length - MOST_ROWS
  return more > 0 ? `${table}\nand ${grouped(more)} more; --json has them all` : table
}

/** Titles of columns; those that begin with `>` stand at the right. */
export function columns(...titles: readonly string[]): Column[] {
  return titles.map((title) =>
    title.startsWith('>') ? { title: title.slice(1), align: 'right' } : { title },
  )
}

/** `2024-05-01 12:00:00`, of a time in ISO 8601. */
export function dateTime(iso: string): string {
  return iso.slice(0, iso.indexOf('.')).replace('T', ' ')
}

/** `text` behind `label`, broken into lines of bearable width, the further ones indented as far. */
export function hang(label: string, text: string): string[] {
  const [first = '', ...words] = text.split(' ')
  const lines = [`${label}${first}`]
  for (const word of words) {
    const line = `${lines.at(-1)} ${word}`
    if (line.length <= WIDTH) lines[lines.length - 1] = line
    else lines.push(' '.repeat(label.length) + word)
  }
  return lines
}
