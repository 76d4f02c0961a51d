/**
 * Compares the ratios of the last runs of the benches (build/bench) with those that are stored, and says what
 * got worse: by more than a tenth, and beyond the range that its rounds had. Ends with 1 if anything did.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { tool } from '../lib/tool.ts'
import type { TargetResult } from './runner/results.ts'
import { savedResults } from './runner/store.ts'
import { formatNumber } from './runner/text.ts'

const FILE = new URL('./ratios.json', import.meta.url)
const TOLERANCE = 0.1

const { store } = tool(
  'npm run bench:check --',
  'compares the ratios of the last runs with those that are stored',
)
  .option('--store', 'make the last runs the standard from now on')
  .parse()
  .opts<{ store?: true }>()
const measured = new Map(
  savedResults().flatMap(({ bench, targets }) =>
    targets.filter(({ isRatio }) => isRatio).map((target) => [`${bench}: ${target.name}`, target] as const),
  ),
)
const stored = JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, number>
if (measured.size === 0) {
  console.error('there is nothing to compare: run "npm run bench" first')
  process.exitCode = 66
} else if (store) {
  const medians = [...measured].map(([name, { median }]) => [name, Number(median.toPrecision(3))] as const)
  writeFileSync(FILE, `${JSON.stringify({ ...stored, ...Object.fromEntries(medians) }, undefined, 2)}\n`)
  console.log(`stored ${medians.length} ratios`)
} else {
  compare()
}

function compare(): void {
  const known = [...measured].filter(([name]) => stored[name] !== undefined)
  const worse = known.filter(([name, target]) => isWorse(target, stored[name]!))
  for (const [name, { median, min, max }] of worse) {
    const was = formatNumber(stored[name]!)
    console.log(
      `worse: ${name}: ${formatNumber(median)} (${formatNumber(min)} to ${formatNumber(max)}), was ${was}`,
    )
  }
  const missing = Object.keys(stored).length - known.length
  console.log(`${known.length} ratios compared, ${worse.length} worse, ${missing} stored ones not measured`)
  if (worse.length > 0) process.exitCode = 1
}

function isWorse({ median, min, max, isCost }: TargetResult, before: number): boolean {
  if (isCost) return median > before * (1 + TOLERANCE) && min > before
  return median < before * (1 - TOLERANCE) && max < before
}
