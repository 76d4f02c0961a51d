import { Command } from 'commander'
import { EXIT, Failure } from '../failure.ts'
import { jsonOption, localOption } from './command-options.ts'
import type { ReplayCommandOptions } from './run-replay.ts'

/**
 * `sluice replay FILE…`. Ends with EXIT.dataError when a capture is broken, once all that could be read of
 * it is reported; with EXIT.noInput when a file cannot be read, EXIT.config when a policy is wrong, and
 * EXIT.cannotCreate when the CSV file or the report cannot be written.
 */
export function replayCommand(): Command {
  return new Command('replay')
    .description('say what a policy would have done to the traffic in captures; needs no root')
    .argument(
      '<files...>',
      'pcap or pcapng, plain or compressed, in the order of time; "-" is standard input',
    )
    .option('-c, --config <file>', 'policy file', '/etc/sluice/sluice.yaml')
    .addOption(localOption('name captures before --local, or after --'))
    .option('--csv <file>', 'write every decision as a line of CSV; "-": to standard output, and no table')
    .option('--against <policy>', 'also say what would change with another policy file')
    .option('--report <file.html>', 'also write it all as one page, with plots')
    .addOption(jsonOption())
    .action(run)
}

async function run(files: readonly string[], options: ReplayCommandOptions): Promise<void> {
  if (options.csv === '-' && options.json) {
    throw new Failure(EXIT.usage, '--json and --csv - both want standard output', 'name a file: --csv FILE')
  }
  if (options.csv !== undefined && options.csv !== '-' && files.includes(options.csv)) {
    throw new Failure(EXIT.usage, `--csv would overwrite the capture ${options.csv}`)
  }
  if (files.filter((file) => file === '-').length > 1) {
    throw new Failure(EXIT.usage, 'standard input can be read only once: name "-" once')
  }
  // The parser of policies takes a while to load: other commands must not wait for it.
  const { runReplay } = await import('./run-replay.ts')
  await runReplay(files, options)
}
