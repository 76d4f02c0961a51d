import { readFileSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { duration } from '../config/values.ts'
import { counted } from '../control/counted.ts'
import { ask } from '../control/requests/client.ts'
import type { Results } from '../control/requests/protocol.ts'
import { roughDuration } from '../control/rough-duration.ts'
import { EXIT, Failure } from '../failure.ts'
import { errorsAsJson } from './check.ts'
import { type AskOptions, jsonOption, socketOption } from './command-options.ts'
import { replaceFile } from './replace-file.ts'
import { show } from './show.ts'

/** Without --confirm: long enough to write the policy file. */
const AT_ONCE_SECONDS = 60

interface Options extends AskOptions {
  readonly confirm?: number
}

/** `sluice apply FILE [--confirm TIME]`. */
export function applyCommand(): Command {
  return new Command('apply')
    .description('put a new policy in force; with --confirm, it goes back unless "sluice confirm" follows')
    .argument('<file>', 'the new policy: not the policy file of the daemon, which it replaces')
    .option('--confirm <time>', 'such as 90s or 5m, up to 1d', seconds)
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(apply)
}

/** `sluice confirm`. */
export function confirmCommand(): Command {
  return new Command('confirm')
    .description('keep the policy on trial: write it over the policy file; exit status 1 if there is none')
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(confirm)
}

async function apply(file: string, options: Options): Promise<void> {
  const text = await valid(file, options)
  const { policyFile } = await ask(options.socket, { op: 'status' })
  refusePolicyFile(file, policyFile)
  const request = {
    op: 'apply',
    text,
    file: resolve(file),
    seconds: options.confirm ?? AT_ONCE_SECONDS,
  } as const
  const result = await ask(options.socket, request)
  if (options.confirm !== undefined) {
    const left = roughDuration(result.secondsLeft * 1000)
    const lines = [
      `in force on trial: it goes back in ${left} unless "sluice confirm" follows`,
      ...changes(result),
    ]
    show(options, result, lines.join('\n'))
    return
  }
  const before = await keep(options, policyFile, text)
  show(
    options,
    { ...result, secondsLeft: null, before },
    [kept(policyFile, before), ...changes(result)].join('\n'),
  )
}

async function confirm(options: AskOptions): Promise<void> {
  const { policyFile, text } = await ask(options.socket, { op: 'trial' })
  const before = await keep(options, policyFile, text)
  show(options, { policyFile, before }, kept(policyFile, before))
}

/** Writes the policy file, and tells the daemon. Returns the name of the copy of the old one. */
async function keep({ socket }: AskOptions, policyFile: string, text: string): Promise<string> {
  const before = replaceFile(policyFile, text)
  await ask(socket, { op: 'confirm' })
  return before
}

function kept(policyFile: string, before: string): string {
  return `in force, and written to ${policyFile}; the old policy is ${before}`
}

function changes({ pending, lifted }: Results['apply']): string[] {
  return [
    ...(pending.length === 0 ? [] : [`takes effect at the next start: ${pending.join(', ')}`]),
    ...(lifted === 0 ? [] : [`lifted ${counted(lifted, 'ban')} that the new policy does not allow`]),
  ]
}

/** The text of a policy without errors: whoever has errors sees them as `check` shows them. */
async function valid(file: string, { json }: Options): Promise<string> {
  const { loadPolicy, PolicyError } = await import('../config/load.ts')
  try {
    loadPolicy(file)
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (json && error instanceof PolicyError) console.log(JSON.stringify(errorsAsJson(error)))
    throw error
  }
}

function refusePolicyFile(file: string, policyFile: string): void {
  if (realpathSync(file) !== realpathSync(policyFile)) return
  throw new Failure(
    EXIT.usage,
    `${file} is the policy file itself: the next start would take it, confirmed or not`,
    'put it back as it was and apply an edited copy, or take it at once with "sluice reload"',
  )
}

function seconds(text: string): number {
  try {
    return Math.ceil(duration(1000, 86_400_000)(text) / 1000)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}
