import { loadPolicy } from '../config/load.ts'
import type { Prefix } from '../net/prefix.ts'
import { Engine } from '../replay/engine.ts'
import type { Observer } from '../replay/observer.ts'
import { Outcome } from '../replay/outcome.ts'
import { replay } from '../replay/replay.ts'
import type { Recorder } from '../replay/report/recorder.ts'
import { type NamedOutcome, type Summary, summarize } from '../replay/summary.ts'
import { VerdictCsv } from '../replay/verdict-csv.ts'
import { CaptureProgress, checkCaptures, endLiveCaptureOnInterrupt, refuseBroken } from './captures.ts'
import { type Output, ReaderGone } from './output.ts'
import { formatChanges } from './replay-changes.ts'
import { formatReplay } from './replay-table.ts'
import { checkReportPath, openReplacing, writeWhole } from './whole-file.ts'
import { writeJson } from './write-json.ts'

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
  const report = options.report === undefined ? undefined : await beginReport(options.report, policy)
  const bytesTotal = await checkCaptures(files)
  const csv = options.csv === undefined ? undefined : await openReplacing(options.csv)
  const endAsEver = endLiveCaptureOnInterrupt(files)
  try {
    const facts = await replayAll({
      files,
      options,
      policy,
      against,
      recorder: report?.recorder,
      csv,
      bytesTotal,
    })
    // That of a broken capture, too: it has all that could be read.
    await csv?.finish()
    const summary = summarize(facts, policy, against)
    if (options.json) await writeJson(summary)
    else if (options.csv !== '-') console.log(describe(summary))
    await report?.write(summary)
    refuseBroken(facts.files)
  } catch (error) {
    if (!(error instanceof ReaderGone)) throw error
  } finally {
    endAsEver()
    await csv?.close()
  }
}

/** Reports are loaded when one is asked for: a fifth of all modules is of them. */
async function beginReport(file: string, { outcome }: NamedOutcome) {
  const { renderReport } = await import('../replay/report/page.ts')
  const { Recorder } = await import('../replay/report/recorder.ts')
  await checkReportPath(file)
  const recorder = new Recorder(outcome)
  return { recorder, write: (summary: Summary) => writeWhole(file, renderReport(summary, recorder)) }
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
