import { Command } from 'commander'

/** Each command, loaded when it is needed: `sluice status` must not wait for the parser of policies. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./run.ts')).runCommand(),
  check: async () => (await import('./check.ts')).checkCommand(),
  replay: async () => (await import('./replay.ts')).replayCommand(),
  tune: async () => (await import('./tune.ts')).tuneCommand(),
  reload: async () => (await import('./reload.ts')).reloadCommand(),
  status: async () => (await import('./status.ts')).statusCommand(),
  apply: async () => (await import('./apply.ts')).applyCommand(),
  confirm: async () => (await import('./apply.ts')).confirmCommand(),
  panic: async () => (await import('./panic.ts')).panicCommand(),
  resume: async () => (await import('./panic.ts')).resumeCommand(),
  bans: async () => (await import('./bans.ts')).bansCommand(),
  explain: async () => (await import('./explain.ts')).explainCommand(),
  allow: async () => (await import('./allow.ts')).allowCommand(),
  firewall: async () => (await import('./firewall.ts')).firewallCommand(),
}

const EXIT_HELP = `
Exit status:
   0  done
   1  refused: never-ban list, not banned, firewall not in place, nothing on trial or in panic
  64  wrong use of the command line
  65  a capture is none, or is broken
  66  a file cannot be read
  69  no daemon answers, or the kernel or the addon lacks something
  70  a defect in sluice
  71  the kernel refused what should have worked
  73  an output file cannot be written
  75  queue number, metrics port or control socket is taken
  77  not root, or CAP_NET_ADMIN is missing
  78  the policy is wrong`

/**
 * The command line for `argv` (without node and script). It throws CommanderError instead of ending the
 * process, and its messages start with "sluice:".
 */
export async function createProgram(argv: readonly string[], version: string): Promise<Command> {
  const program = new Command('sluice')
    .description('Packet-path rate limiter: NFQUEUE in, token buckets, ipset bans out.')
    .version(version, '-V, --version', 'write the version')
    .addHelpText('after', EXIT_HELP)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'sluice: ')) })
    .exitOverride()
  const wanted = COMMANDS[argv[0] ?? '']
  const needed = wanted === undefined ? Object.values(COMMANDS) : [wanted]
  for (const load of needed) program.addCommand(await load())
  inherit(program, 'sluice')
  return program
}

/** Commands that were made on their own inherit nothing by themselves. */
function inherit(command: Command, path: string): void {
  command.showHelpAfterError(`"${path} --help" says more`)
  for (const child of command.commands) {
    const hint = `${path} ${child.name()}`
    child.copyInheritedSettings(command)
    inherit(child, hint)
  }
}
