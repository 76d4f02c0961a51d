import type { Judgement, Observer } from '../observer.ts'
import type { Outcome } from '../outcome.ts'
import { Levels } from './levels.ts'
import { Timeline } from './timeline.ts'

/** Remembers what a report plots, in bounded memory. `Outcome` has the rest. */
export class Recorder implements Observer {
  readonly outcome: Outcome
  readonly timeline: Timeline
  readonly levels: Levels

  /** @param outcome another observer of the same engine */
  constructor(outcome: Outcome) {
    this.outcome = outcome
    this.timeline = new Timeline(outcome.policy)
    this.levels = new Levels(outcome.policy)
  }

  judged(judgement: Judgement): void {
    this.timeline.judged(judgement)
    this.levels.judged(judgement)
  }
}
