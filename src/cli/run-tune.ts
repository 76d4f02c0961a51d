import { loadPolicy } from '../config/load.ts'
import { EXIT, Failure } from '../failure.ts'
import type { Prefix } from '../net/prefix.ts'
import { reportOf, type TuneReport } from '../tune/report.ts'
import { HONEST_PASSES, type Tuning, tune } from '../tune/tune.ts'
import { CaptureProgress, checkCaptures, refuseBroken } from './captures.ts'
import { ReaderGone } from './output.ts'
import { show } from './show.ts'
import { formatTuning } from './tune-text.ts'
import { writeReplacing } from './whole-file.ts'

export interface TuneCommandOptions {
  readonly honest: readonly string[]
  readonly attack?: readonly string[]
  readonly config: string
  /** 0 to 1. */
  readonly share: number
  readonly local?: readonly Prefix[]
  readonly yaml?: string
  readonly json?: true
}

/** Tunes, and writes what came of it. @throws Failure, as `tuneCommand` says. */
export async function runTune(options: TuneCommandOptions): Promise<void> {
  const tuning = await tuneAll(options)
  refuseEmpty(tuning)
  const report = reportOf(tuning, options.share)
  if (options.yaml !== undefined) await writeYaml(options.yaml, report)
  if (options.yaml !== '-') show(options, report, formatTuning(report, options.yaml))
  refuseBroken([...tuning.honest.files, ...tuning.attacks.flatMap(({ facts }) => facts.files)])
}

async function tuneAll({ honest, attack = [], config, share, local }: TuneCommandOptions): Promise<Tuning> {
  const policy = loadPolicy(config)
  const honestBytes = await checkRepeatable(honest)
  const progress = new CaptureProgress(honestBytes * HONEST_PASSES + (await checkRepeatable(attack)))
  try {
    return await tune({
      honest,
      attacks: attack,
      policy,
      share,
      local,
      onPause: (reader) => progress.show(reader),
      onEnd: (reader) => progress.end(reader),
    })
  } finally {
    progress.clear()
  }
}

/** @returns bytes of all together. @throws Failure when one cannot be read more than once. */
async function checkRepeatable(files: readonly string[]): Promise<number> {
  const bytes = await checkCaptures(files)
  if (bytes !== undefined) return bytes
  throw new Failure(EXIT.usage, 'tune reads captures more than once: name files, not "-" or pipes')
}

function refuseEmpty({ honest, services }: Tuning): void {
  if (services.some(({ curve }) => curve.buckets > 0)) return
  const names = services.map(({ service }) => service.name).join(', ')
  const { notInbound, otherPorts } = honest.traffic
  throw new Failure(
    EXIT.dataError,
    `no honest attempt at ${names} in the captures: ${notInbound} at other hosts, ${otherPorts} at ports of no enabled service`,
    'enable the services in the policy; with --local, say which addresses are this host',
  )
}

async function writeYaml(path: string, { yaml }: TuneReport): Promise<void> {
  if (yaml === null) {
    throw new Failure(EXIT.dataError, 'nothing is proposed: no policy can hold what the honest sources need')
  }
  try {
    // What stands there already is not to be lost to a full disk.
    await writeReplacing(path, yaml)
  } catch (error) {
    if (!(error instanceof ReaderGone)) throw error
  }
}
