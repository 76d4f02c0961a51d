import type { DaemonState } from '../state.ts'
import type { Sample } from './metric-samples.ts'

/** One metric: its samples are read from `state` when somebody asks. Labels come from closed sets only. */
export interface MetricFamily {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly labels?: readonly string[]
  readonly read: (state: DaemonState) => readonly Sample[]
}
