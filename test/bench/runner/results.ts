import type { Bench, Figures, Metric, Operand, Target } from './bench.ts'
import type { Machine } from './machine.ts'
import { type Summary, summarize } from './statistics.ts'

export interface CaseResult {
  readonly name: string
  /** For each contestant the figures of each round. */
  readonly contestants: Readonly<Record<string, readonly Figures[]>>
}

export interface TargetResult extends Summary {
  /** Such as `65,536 SYNs, accept: packetsPerSecond, sluice / C, batches`. */
  readonly name: string
  readonly isRatio: boolean
  readonly atLeast?: number
  readonly atMost?: number
  /** By the median. */
  readonly isMet: boolean
  readonly isCost: boolean
}

/** One run of one bench, as it is written to disk. */
export interface BenchResult {
  readonly bench: string
  readonly question: string
  readonly machine: Machine
  readonly startedAt: string
  readonly rounds: number
  readonly seconds: number
  readonly metrics: Readonly<Record<string, Metric>>
  readonly cases: readonly CaseResult[]
  readonly targets: readonly TargetResult[]
  readonly notes: readonly string[]
}

/** With the number of its rounds where they are not as many as the run's. */
export function caseTitle({ name, contestants }: CaseResult, { rounds }: BenchResult): string {
  const own = Object.values(contestants)[0]?.length ?? 0
  return own === rounds ? name : `${name} (${own} rounds)`
}

/** Every target of `bench` in every case that has what it compares. */
export function judgeTargets(bench: Bench, cases: readonly CaseResult[]): TargetResult[] {
  return bench.targets.flatMap((target) =>
    cases
      .filter(({ name }) => target.of.case === undefined || target.of.case === name)
      .filter(({ name }) => target.cases === undefined || target.cases.test(name))
      .flatMap((each) => judge(bench, target, each, cases)),
  )
}

function judge(bench: Bench, target: Target, here: CaseResult, cases: readonly CaseResult[]): TargetResult[] {
  const { metric, of, over, atLeast, atMost } = target
  const values = valuesOf(of, metric, here, cases)
  const divisors = over && valuesOf(over, metric, here, cases)
  if (values === undefined || (over !== undefined && divisors === undefined)) return []
  const summary = summarize(values.map((value, round) => value / (divisors?.[round] ?? 1)))
  const other = over && (over.case === undefined ? over.contestant : `${over.contestant}, ${over.case}`)
  return [
    {
      name: `${here.name}: ${metric}, ${of.contestant}${other === undefined ? '' : ` / ${other}`}`,
      isRatio: over !== undefined,
      ...summary,
      ...(atLeast !== undefined && { atLeast }),
      ...(atMost !== undefined && { atMost }),
      isMet: summary.median >= (atLeast ?? -Infinity) && summary.median <= (atMost ?? Infinity),
      isCost: bench.metrics[metric]?.isCost ?? false,
    },
  ]
}

function valuesOf(
  operand: Operand,
  metric: string,
  here: CaseResult,
  cases: readonly CaseResult[],
): number[] | undefined {
  const owner = operand.case === undefined ? here : cases.find(({ name }) => name === operand.case)
  const values = owner?.contestants[operand.contestant]?.map((figures) => figures[metric])
  return values?.every((value) => value !== undefined) ? (values as number[]) : undefined
}
