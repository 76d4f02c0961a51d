import { Command, Option } from 'commander'
import { counted } from '../control/counted.ts'
import { panicFile, readPanicMark, removePanicMark, writePanicMark } from '../control/panic-marker.ts'
import { ask } from '../control/requests/client.ts'
import { EXIT, Failure } from '../failure.ts'
import { takeDown } from '../firewall/take-down.ts'
import { type AskOptions, jsonOption, socketOption } from './command-options.ts'
import { show } from './show.ts'

const DEFAULT_DIRECTORY = '/var/lib/sluice'

interface Options extends AskOptions {
  readonly config: string
  readonly reason?: string
}

/** `sluice panic`: everything passes, at once, also when no daemon answers. */
export function panicCommand(): Command {
  return new Command('panic')
    .description('lift all bans and let everything pass until "sluice resume"; works without the daemon too')
    .option('--reason <text>', 'shown in the status and the log')
    .addOption(configOption())
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(panic)
}

/** `sluice resume`. */
export function resumeCommand(): Command {
  return new Command('resume')
    .description('end a panic: limit and ban again; exit status 1 if there is none')
    .addOption(configOption())
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(resume)
}

async function panic(options: Options): Promise<void> {
  const { reason } = options
  try {
    const result = await ask(options.socket, { op: 'panic', ...(reason === undefined ? {} : { reason }) })
    const lines = [
      `panic: everything passes until "sluice resume"; lifted ${counted(result.lifted, 'ban')}`,
      ...result.notes,
    ]
    show(options, result, lines.join('\n'))
  } catch (error) {
    if (!(error instanceof Failure && error.status === EXIT.unavailable)) throw error
    await panicAlone(options, error.message)
  }
}

/** The mark first: a daemon that only hangs sees it, and leaves the chains alone. */
async function panicAlone(options: Options, why: string): Promise<void> {
  const directory = await stateDirectory(options)
  const notes = [`${why}: did it without`]
  try {
    if (directory !== undefined) writePanicMark(directory, options.reason ?? 'by hand')
  } catch (error) {
    notes.push(`the mark could not be made (${(error as NodeJS.ErrnoException).code})`)
  }
  const removed = await takeDown({ keepBans: false })
  const isRemembered = directory !== undefined && readPanicMark(directory) !== undefined
  notes.push(
    isRemembered
      ? `sluice starts with panic until "sluice resume", or until ${panicFile(directory)} is removed`
      : 'the next start of sluice limits and bans again',
  )
  const text = `panic: chains and bans are gone, everything passes\n${notes.join('\n')}`
  show(options, { removed, isRemembered, notes }, text)
}

async function resume(options: Options): Promise<void> {
  try {
    const result = await ask(options.socket, { op: 'resume' })
    show(options, result, ['sluice limits and bans again', ...result.notes].join('\n'))
  } catch (error) {
    if (!(error instanceof Failure && error.status === EXIT.unavailable)) throw error
    await resumeAlone(options, error)
  }
}

async function resumeAlone(options: Options, failure: Failure): Promise<void> {
  const directory = await stateDirectory(options)
  if (directory === undefined || readPanicMark(directory) === undefined) throw failure
  try {
    removePanicMark(directory)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new Failure(EXIT.noPermission, `cannot remove ${panicFile(directory)}: ${code}`, 'run it as root')
  }
  const notes = [`${failure.message}: it limits and bans when it is started`]
  show(options, { since: null, notes }, `panic is over\n${notes.join('\n')}`)
}

/** In a panic a policy that cannot be read must not stand in the way. `undefined`: `state: off`. */
async function stateDirectory({ config }: Options): Promise<string | undefined> {
  try {
    const { loadPolicy } = await import('../config/load.ts')
    return loadPolicy(config).state?.directory
  } catch {
    return DEFAULT_DIRECTORY
  }
}

function configOption(): Option {
  return new Option('-c, --config <file>', "the daemon's policy file, for where it keeps its state").default(
    '/etc/sluice/sluice.yaml',
  )
}
