import { Command, InvalidArgumentError, Option } from 'commander'
import { EXIT, Failure } from '../failure.ts'
import { checkOutputs } from './check-outputs.ts'
import { jsonOption, localOption } from './command-options.ts'
import type { TuneCommandOptions } from './run-tune.ts'

/**
 * `sluice tune --honest FILE… --attack FILE…`. Ends with EXIT.dataError when a capture is broken, once all
 * that could be read of it is reported, or when there is no honest attempt at a service in any; with
 * EXIT.noInput when a file cannot be read, EXIT.config when the policy is wrong, and EXIT.cannotCreate when
 * the YAML file cannot be written.
 */
export function tuneCommand(): Command {
  return new Command('tune')
    .description('propose limits from captures of honest traffic, and try them on captures of attacks')
    .usage('--honest <files...> [--attack <files...>] [options]')
    .argument('[files...]')
    .requiredOption('--honest <files...>', 'captures of honest traffic to this host, in the order of time')
    .option('--attack <files...>', 'captures of attacks, each replayed by itself')
    .option('-c, --config <file>', 'policy file whose services are tuned', '/etc/sluice/sluice.yaml')
    .addOption(shareOption())
    .addOption(localOption('name captures after --honest or --attack'))
    .option(
      '--yaml <file>',
      'write the proposed services to a policy file; "-": to standard output, nothing else',
    )
    .addOption(jsonOption())
    .action(run)
}

function shareOption(): Option {
  return new Option('--share <percent>', 'of honest sources that must get through, 50% to 100%')
    .argParser(share)
    .default(0.999, '99.9%')
}

/** @returns 0 to 1 */
function share(text: string): number {
  const match = /^(\d{1,3}(?:\.\d{1,6})?) ?%?$/.exec(text)
  const percent = Number(match?.[1] ?? Number.NaN)
  if (percent >= 50 && percent <= 100) return percent / 100
  throw new InvalidArgumentError('write a share of the honest sources from 50% to 100%, such as 99.9%.')
}

async function run(stray: readonly string[], options: TuneCommandOptions): Promise<void> {
  const { honest, attack = [], config, yaml, json } = options
  if (stray.length > 0) {
    throw new Failure(
      EXIT.usage,
      `what does ${stray[0]} show?`,
      'name captures after --honest or --attack: sluice tune --honest FILE... --attack FILE...',
    )
  }
  if (yaml === '-' && json) {
    throw new Failure(EXIT.usage, '--json and --yaml - both want standard output', 'name a file: --yaml FILE')
  }
  await checkOutputs(
    [{ role: '--yaml', path: yaml }],
    [
      ...[...honest, ...attack].map((path) => ({ role: 'the capture', path })),
      { role: 'the policy', path: config },
    ],
  )
  // The parser of policies takes a while to load: other commands must not wait for it.
  const { runTune } = await import('./run-tune.ts')
  await runTune(options)
}
