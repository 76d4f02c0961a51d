import { loadPolicy } from '../config/load.ts'
import type { Prefix } from '../net/prefix.ts'
import { Engine, type Observer } from '../replay/engine.ts'
import { Outcome } from '../replay/outcome.ts'
import { replay } from '../replay/replay.ts'
import { renderReport } from '../replay/report/page.ts'
import { Recorder } from '../replay/report/recorder.ts'
import { checkReportPath, writeReport } from '../replay/report/report-file.ts'
import { type NamedOutcome, type Summary, summarize } from '../replay/summary.ts'
import { VerdictCsv } from '../replay/verdict-csv.ts'
import { CaptureProgress, checkCaptures, refuseBroken } from './captures.ts'
import { type Output, openOutput, ReaderGone } from './output.ts'
import { formatChanges } from './replay-changes.ts'
import { formatReplay } from './replay-table.ts'
import { show } from './show.ts'

export interface ReplayCommandOptions {
  readonly config: string
  readonly local?: readonly Prefix[]
  readonly csv?: string
  readonly against?: string
  readonly report?: string
  readonly json?: true
}

/** Replays `files` and writes what came of it. @throws Failure, as `replayCommand` says. */
export async function runReplay(files: readonly string[], options: ReplayCommandOptions): Promise<void> {
  const policy = outcomeOf(options.config)
  const against = options.against === undefined ? undefined : outcomeOf(options.against)
  if (options.report !== undefined) await checkReportPath(options.report)
  const bytesTotal = await checkCaptures(files)
  const recorder = options.report === undefined ? undefined : new Recorder(policy.outcome)
  const csv = options.csv === undefined ? undefined : await openOutput(options.csv)
  try {
    const facts = await replayAll({ files, options, policy, against, recorder, csv, bytesTotal })
    const summary = summarize(facts, policy, against)
    if (options.csv !== '-') show(options, summary, () => describe(summary))
    if (options.report !== undefined && recorder !== undefined) {
      await writeReport(options.report, renderReport(summary, recorder))
    }
    refuseBroken(facts.files)
  } catch (error) {
    if (!(error instanceof ReaderGone)) throw error
  } finally {
    await csv?.close()
  }
}

interface Replay {
  readonly files: readonly string[]
  readonly options: ReplayCommandOptions
  readonly policy: NamedOutcome
  readonly against: NamedOutcome | undefined
  readonly recorder: Recorder | undefined
  readonly csv: Output | undefined
  readonly bytesTotal: number | undefined
}

async function replayAll({ files, options, policy, against, recorder, csv, bytesTotal }: Replay) {
  const verdicts = csv && new VerdictCsv(csv.write)
  const observers = [recorder, verdicts].filter((observer) => observer !== undefined)
  const engines = [engineOf(policy, ...observers), ...(against ? [engineOf(against)] : [])]
  const progress = new CaptureProgress(bytesTotal)
  try {
    const facts = await replay({
      files,
      engines,
      local: options.local,
      onPause: async (reader) => {
        await verdicts?.flush()
        progress.show(reader)
      },
      onEnd: (reader) => progress.end(reader),
    })
    await verdicts?.flush()
    return facts
  } finally {
    progress.clear()
  }
}

function outcomeOf(file: string): NamedOutcome {
  return { file, outcome: new Outcome(loadPolicy(file)) }
}

function engineOf({ outcome }: NamedOutcome, ...others: readonly Observer[]): Engine {
  return new Engine(outcome.policy, [outcome, ...others])
}

function describe(summary: Summary): string {
  const text = formatReplay(summary)
  return summary.against === null ? text : `${text}\n\n${formatChanges(summary, summary.against)}`
}
