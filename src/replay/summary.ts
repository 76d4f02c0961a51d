import type { Mode, Policy } from '../config/policy.ts'
import { counted } from '../control/counted.ts'
import { formatPrefix } from '../net/prefix.ts'
import { type Comparison, compareOutcomes } from './compare.ts'
import { isoTime } from './iso-time.ts'
import type { Inference } from './local.ts'
import { banRows, bucketLists, refusedSources, serviceRows, sessionRows } from './make-rows.ts'
import { notesOf } from './notes.ts'
import type { Outcome } from './outcome.ts'
import type { ReplayFacts } from './replay.ts'
import type { BanRow, BucketRow, QueryRow, RefusedSource, ServiceRow, SourceSessions } from './rows.ts'
import type { Rows } from './rows-on-demand.ts'

/** A policy and the file that it comes from. */
export interface NamedOutcome {
  readonly file: string
  readonly outcome: Outcome
}

interface FileSummary {
  readonly file: string
  readonly packets: number
  /** Where and why a capture could not be read on. */
  readonly broken: { readonly byte: number; readonly packet: number; readonly reason: string } | null
}

/** Everything that a replay found out: the answer of `sluice replay --json`. */
export interface Summary {
  readonly files: readonly FileSummary[]
  /** ISO 8601, UTC; `null` without a packet. */
  readonly from: string | null
  readonly to: string | null
  readonly seconds: number
  readonly local: {
    readonly prefixes: readonly string[]
    readonly inferred: Omit<Inference, 'prefixes'> | null
  }
  readonly traffic: Readonly<Record<string, number>>
  /** What a person must know about the captures to trust the rest, in sentences. */
  readonly notes: readonly string[]
  readonly policy: PolicySummary
  /** With `--against`. */
  readonly against: Against | null
}

/** What another policy made of the same captures. */
export interface Against extends PolicySummary {
  readonly changes: Comparison
}

/** What one policy made of the captures. */
export interface PolicySummary {
  readonly file: string
  readonly mode: Mode
  /** What the daemon adds to ban times at random, as a share of them. */
  readonly jitter: number
  readonly services: readonly ServiceRow[]
  /** Answers from port 53 to questions that nobody here has asked: dropped, or in shadow mode seen. */
  readonly unsolicitedAnswers: number
  readonly limited: Rows<BucketRow>
  readonly queries: Rows<QueryRow>
  readonly sources: Rows<RefusedSource>
  readonly banned: readonly BanRow[]
  readonly sessions: Rows<SourceSessions>
  readonly close: Rows<BucketRow>
  /** What did not fit into memory, and is in the totals only. */
  readonly leftOut: {
    readonly sources: number
    readonly networks: number
    readonly bans: number
    readonly sessions: number
  }
}

export function summarize(facts: ReplayFacts, policy: NamedOutcome, against?: NamedOutcome): Summary {
  const { unreadable, ...traffic } = facts.traffic
  const hasPackets = facts.firstMs <= facts.lastMs
  return {
    files: facts.files.map(({ file, packets, ending }) => {
      if (ending.kind === 'complete') return { file, packets, broken: null }
      const { byte, packet, reason } = ending
      return { file, packets, broken: { byte, packet, reason } }
    }),
    from: hasPackets ? isoTime(facts.firstMs) : null,
    to: hasPackets ? isoTime(facts.lastMs) : null,
    seconds: Math.round(facts.elapsedMs * 1000) / 1e6,
    local: { prefixes: facts.local.map(formatPrefix), inferred: inferredFrom(facts.inference) },
    traffic: { ...traffic, unreadable: [...unreadable.values()].reduce((sum, count) => sum + count, 0) },
    notes: notesOf(facts),
    policy: summarizePolicy(policy),
    against:
      against === undefined
        ? null
        : { ...summarizePolicy(against), changes: compareOutcomes(policy.outcome, against.outcome) },
  }
}

/** What became of answers from port 53 to questions that nobody here has asked, as a sentence. */
export function unsolicitedText({ unsolicitedAnswers, mode }: PolicySummary): string {
  const answers = counted(unsolicitedAnswers, 'answer')
  const verdict = mode === 'shadow' ? 'would be dropped' : 'dropped'
  return `${answers} from port 53 to questions that nobody here has asked: ${verdict}. Nobody is banned for those.`
}

function inferredFrom(inference: Inference | undefined): Summary['local']['inferred'] {
  if (inference === undefined) return null
  const { attempts, inbound, isWhole } = inference
  return { attempts, inbound, isWhole }
}

function summarizePolicy({ file, outcome }: NamedOutcome): PolicySummary {
  const { policy }: { policy: Policy } = outcome
  const { limited, queries, close } = bucketLists(outcome)
  return {
    file,
    mode: policy.mode,
    jitter: policy.ban.jitter,
    services: serviceRows(outcome),
    unsolicitedAnswers: outcome.unsolicitedAnswers,
    limited,
    queries,
    // A flood has many, and the table for people needs none of them.
    get sources() {
      return refusedSources(outcome)
    },
    banned: banRows(outcome),
    sessions: sessionRows(outcome),
    close,
    leftOut: {
      sources: outcome.sources.forgotten,
      networks: outcome.networks.forgotten,
      bans: outcome.bansLeftOut,
      sessions: outcome.sessions.forgotten,
    },
  }
}
