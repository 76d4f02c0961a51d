import { setFlagsFromString } from 'node:v8'
import { Command } from 'commander'
import { Lifetime } from '../control/lifetime.ts'

interface Options {
  readonly config: string
  readonly flush?: true
}

/** `sluice run`: the daemon, in the foreground. */
export function runCommand(): Command {
  return new Command('run')
    .description('limit and ban until SIGINT or SIGTERM; SIGHUP reloads the policy')
    .option('-c, --config <file>', 'policy file', '/etc/sluice/sluice.yaml')
    .option('--flush', 'lift all bans at the end (otherwise they last until their time is over)')
    .action(run)
}

/** The other commands must not wait until all of the daemon is loaded, nor a signal until it is. */
async function run({ config, flush }: Options): Promise<void> {
  // While the policy is read V8 would let the young generation grow, by 10 MB that nothing gives back.
  setFlagsFromString('--semi-space-growth-factor=1')
  const lifetime = new Lifetime()
  try {
    const { runDaemon } = await import('../control/daemon.ts')
    await runDaemon({ configFile: config, flush: flush === true, lifetime })
  } finally {
    lifetime.close()
  }
}
