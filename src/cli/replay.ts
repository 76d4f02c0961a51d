import { Command } from 'commander'
import { EXIT, Failure } from '../failure.ts'
import { checkOutputs } from './check-outputs.ts'
import { jsonOption, localOption } from './command-options.ts'
import type { ReplayCommandOptions } from './run-replay.ts'

/**
 * `sluice replay FILE…`. Ends with EXIT.dataError when a capture is broken, once all that could be read of
 * it is reported; with EXIT.noInput when a file cannot be read, EXIT.config when a policy is wrong, and
 * EXIT.cannotCreate when the CSV file or the report cannot be written.
 */
export function replayCommand(): Command {
  const behindLocal: string[] = []
  return new Command('replay')
    .description('say what a policy would have done to the traffic in captures; needs no root')
    .usage('[options] <files...>')
    .argument(
      '[files...]',
      'pcap or pcapng, plain or compressed, in the order of time; "-" is standard input, live until Ctrl-C',
    )
    .option('-c, --config <file>', 'policy file', '/etc/sluice/sluice.yaml')
    .addOption(localOption('nor a file that is there', behindLocal))
    .option('--csv <file>', 'write every decision as a line of CSV; "-": to standard output, and no table')
    .option('--against <policy>', 'also say what would change with another policy file')
    .option('--report <file.html>', 'also write it all as one page, with plots')
    .addOption(jsonOption())
    .action((files: readonly string[], options: ReplayCommandOptions, command: Command) => {
      if (files.length > 0 && behindLocal.length > 0) {
        throw new Failure(
          EXIT.usage,
          `captures stand in two places: ${files[0]} and, behind --local, ${behindLocal[0]}`,
          'name them together, in the order of time',
        )
      }
      const named = [...files, ...behindLocal]
      if (named.length === 0) command.error("error: missing required argument 'files'")
      return run(named, options)
    })
}

async function run(files: readonly string[], options: ReplayCommandOptions): Promise<void> {
  if (options.csv === '-' && options.json) {
    throw new Failure(EXIT.usage, '--json and --csv - both want standard output', 'name a file: --csv FILE')
  }
  if (files.filter((file) => file === '-').length > 1) {
    throw new Failure(EXIT.usage, 'standard input can be read only once: name "-" once')
  }
  await checkOutputs(
    [
      { role: '--csv', path: options.csv },
      { role: '--report', path: options.report },
    ],
    [
      ...files.map((path) => ({ role: 'the capture', path })),
      { role: 'the policy', path: options.config },
      { role: 'the policy', path: options.against },
    ],
  )
  // The parser of policies takes a while to load: other commands must not wait for it.
  const { runReplay } = await import('./run-replay.ts')
  await runReplay(files, options)
}
