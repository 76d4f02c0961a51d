/**
 * Runs the benches, or those that are named, and shows where the figures are.
 * Usage: npm run bench -- [--rounds N] [--seconds N] [NAME...]
 */
import { parseArgs } from 'node:util'
import { BENCHES } from './benches.ts'
import { runBench } from './runner/run.ts'
import { saveResult, writePage } from './runner/store.ts'
import { benchAsText } from './runner/text.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '1.5' } },
})
const known = BENCHES.map(({ name }) => name)
const unknown = positionals.filter((name) => !known.includes(name))
if (unknown.length > 0) {
  console.error(`there is no bench ${unknown.join(', ')}; there are: ${known.join(', ')}`)
  process.exit(64)
}
const options = {
  rounds: positive('rounds', values.rounds),
  seconds: positive('seconds', values.seconds),
  say: (line: string) => console.error(line),
}
for (const bench of BENCHES) {
  if (positionals.length > 0 && !positionals.includes(bench.name)) continue
  console.error(bench.name)
  try {
    const result = await runBench(bench, options)
    saveResult(result)
    console.log(benchAsText(result))
  } catch (error) {
    // The others have nothing to do with it.
    console.error(error)
    process.exitCode = 1
  }
}
console.log(`all figures: ${writePage()}`)

function positive(option: string, text: string): number {
  const value = Number(text)
  if (value > 0 && Number.isFinite(value)) return value
  console.error(`--${option} must be a number above 0: it is "${text}"`)
  process.exit(64)
}
