/** Runs the benches, or those that are named, and shows where the figures are. */
import { anyOf, numberFrom, requireRoot, tool } from '../lib/tool.ts'
import { BENCHES } from './benches.ts'
import { runBench } from './runner/run.ts'
import { saveResult, writePage } from './runner/store.ts'
import { benchAsText } from './runner/text.ts'

const names = BENCHES.map(({ name }) => name)
const program = tool('npm run bench --', 'measures how fast sluice and its peers are, in network namespaces')
  .addArgument(anyOf(names, 'the benches to run'))
  .option('--rounds <number>', 'rounds that count', numberFrom(1), 5)
  .option('--seconds <number>', 'how long a flood lasts', numberFrom(0.1), 1.5)
  .parse()
requireRoot(program)
const { rounds, seconds } = program.opts<{ rounds: number; seconds: number }>()
const wanted = program.args
const options = {
  rounds,
  seconds,
  say: (line: string) => console.error(line),
}
for (const bench of BENCHES) {
  if (wanted.length > 0 && !wanted.includes(bench.name)) continue
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
