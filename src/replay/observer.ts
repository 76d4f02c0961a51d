import type { Mode, Service } from '../config/policy.ts'
import type { Ban } from '../control/bans/ban.ts'
import type { Outcome as SessionOutcome } from '../control/evidence/outcome.ts'
import type { Session } from '../control/sessions/session.ts'
import { VERDICTS, Verdict, type VerdictName } from '../path/reasons.ts'
import { Attempt } from './attempt.ts'
import type { Moment } from './moment.ts'
import { REPLAY_REASONS, type ReplayReason } from './replay-reason.ts'

// Constants of this module cost compiled code nothing; an import is looked up each time.
const VERDICT_NAMES = VERDICTS
const REASON_NAMES = REPLAY_REASONS

/** What became of an attempt, which is good for the time of the call only. */
export interface Judgement {
  readonly attempt: Attempt
  readonly service: Service
  /** The place of the service in the policy. */
  readonly slot: number
  readonly verdict: VerdictName
  readonly reason: ReplayReason
  /** Its place in `REPLAY_REASONS`. */
  readonly reasonNumber: number
}

/** A judgement that is filled for each attempt anew, with numbers. */
export class LastJudgement implements Judgement {
  attempt = new Attempt()
  slot = 0
  verdictNumber: Verdict = Verdict.accept
  reasonNumber = 0
  declare private readonly services: readonly Service[]

  constructor(services: readonly Service[]) {
    this.services = services
  }

  get service(): Service {
    return this.services[this.slot]!
  }

  get verdict(): VerdictName {
    return VERDICT_NAMES[this.verdictNumber]!
  }

  get reason(): ReplayReason {
    return REASON_NAMES[this.reasonNumber]!
  }
}

/** What a ban was given for: an attempt, or a session that is over. */
export interface BanCause {
  readonly service: Service
  /** The place of the service in the policy. */
  readonly slot: number
  readonly at: Moment
}

/** A session that is over. */
export interface Ending {
  readonly session: Session
  readonly outcome: SessionOutcome
  /** About how many logins it has tried, if it has failed and that can be told; else 0. */
  readonly tries: number
  /** When its last packet came. */
  readonly end: Moment
}

/** Is told everything that an engine decides, in order. */
export interface Observer {
  judged(judgement: Judgement): void
  /** A ban; its times are those of `Attempt.nowMs`. */
  banned?(ban: Ban, mode: Mode, cause: BanCause): void
  ended?(ending: Ending): void
  /** An answer to a question that nobody here has asked; in shadow mode it passed. */
  unsolicited?(attempt: Attempt, verdict: Verdict): void
}
