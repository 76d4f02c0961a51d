import type { Stage } from './stage.ts'

/** What one measurement found, by metric. */
export type Figures = Readonly<Record<string, number>>

/** How a metric is shown: values are divided by `unitSize` and carry `unit`. */
export interface Metric {
  readonly unit: string
  readonly unitSize?: number
  /** Fewer is better; otherwise more. */
  readonly isCost?: boolean
}

/** A question within a bench. Its contestants are measured in turn, round after round. */
export interface Case {
  readonly name: string
  readonly contestants: ReadonlyMap<string, () => Figures | Promise<Figures>>
  /** Each measurement starts its own processes: a first round that does not count would teach them nothing. */
  readonly isFresh?: boolean
  /** Fewer than the runner would make, where it takes long and nobody is compared with. */
  readonly rounds?: number
}

/** One contestant's metric, of the same case unless `case` names another. */
export interface Operand {
  readonly contestant: string
  readonly case?: string
}

/**
 * What a bench should reach: `of` itself, or divided by `over` round by round. With neither bound it is
 * measured and compared with earlier runs only.
 */
export interface Target {
  readonly metric: string
  readonly of: Operand
  readonly over?: Operand
  readonly atLeast?: number
  readonly atMost?: number
  /** Which cases it holds in; all of those that have both operands by default. */
  readonly cases?: RegExp
}

export interface Bench {
  readonly name: string
  /** What it finds out, in one sentence. */
  readonly question: string
  readonly metrics: Readonly<Record<string, Metric>>
  readonly targets: readonly Target[]
  /** Sets up one case after the other. What it opens by `stage` is closed when the next one is asked for. */
  cases(stage: Stage): AsyncGenerator<Case> | Generator<Case>
}
