import { grouped } from '../grouped.ts'
import type { CurveRow } from '../tune/report.ts'
import { columns } from './replay-text.ts'
import { formatTable } from './table.ts'

const BAR = 32
/** Rows before and behind the proposed one. */
const AROUND = 6

/**
 * A demand curve as bars: what burst honest sources need at each rate around the proposed one, and what
 * that gives an attacker.
 */
export function plotCurve(curve: readonly CurveRow[]): string {
  const chosen = curve.findIndex(({ isProposed }) => isProposed)
  const flat = curve.findIndex(({ burst }) => burst === curve.at(-1)!.burst)
  const rows = curve.slice(
    Math.max(0, chosen - AROUND),
    Math.min(chosen + AROUND, Math.max(chosen, flat)) + 1,
  )
  const most = Math.max(...rows.map(({ burst }) => burst))
  return formatTable(
    columns(' ', '>RATE', '>BURST', '>AN HOUR', '', ''),
    rows.map((row) => [
      row.isProposed ? '=>' : '',
      row.rate,
      grouped(row.burst),
      grouped(row.anHour),
      '#'.repeat(Math.ceil((row.burst / most) * BAR)).padEnd(BAR),
      row.isProposed ? 'proposed' : row.isQuick ? '' : 'refills too slowly',
    ]),
  )
}
