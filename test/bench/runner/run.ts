import type { Bench, Case, Figures } from './bench.ts'
import { thisMachine } from './machine.ts'
import { type BenchResult, type CaseResult, judgeTargets } from './results.ts'
import { Stage, type StageOptions } from './stage.ts'

/** Runs one bench: case after case, and in each the contestants in turn. */
export async function runBench(bench: Bench, options: StageOptions): Promise<BenchResult> {
  const startedAt = new Date().toISOString()
  const stage = new Stage(options)
  const cases: CaseResult[] = []
  try {
    for await (const each of bench.cases(stage)) {
      options.say(`  ${each.name}`)
      cases.push(await measure(each, options.rounds))
      await stage.release()
    }
  } finally {
    await stage.close()
  }
  return {
    bench: bench.name,
    question: bench.question,
    machine: thisMachine(),
    startedAt,
    rounds: options.rounds,
    seconds: options.seconds,
    metrics: bench.metrics,
    cases,
    targets: judgeTargets(bench, cases),
    notes: [...stage.notes],
  }
}

/** The first round warms caches and compilers, and does not count. */
async function measure(
  { name, contestants, isFresh = false, ...own }: Case,
  most: number,
): Promise<CaseResult> {
  const rounds = Math.min(own.rounds ?? most, most)
  const figures: Record<string, Figures[]> = {}
  for (const contestant of contestants.keys()) figures[contestant] = []
  for (let round = isFresh ? 0 : -1; round < rounds; round++) {
    // There and back, so that nobody always runs behind the same neighbour.
    const order = round % 2 === 0 ? [...contestants] : [...contestants].reverse()
    for (const [contestant, run] of order) {
      const result = await run()
      if (round >= 0) figures[contestant]!.push(result)
    }
  }
  return { name, contestants: figures }
}
