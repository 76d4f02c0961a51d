import { Command, Option } from 'commander'
import type { Policy } from '../config/policy.ts'
import { EXIT, Failure } from '../failure.ts'
import { Firewall } from '../firewall/firewall.ts'
import { firewallRules } from '../firewall/rules.ts'
import { shardConstant } from '../firewall/shard.ts'
import { NOTHING_LIVE, restoreInput } from '../firewall/tables.ts'
import { takeDown } from '../firewall/take-down.ts'
import type { Family } from '../net/prefix.ts'

interface Options {
  readonly config: string
  readonly json?: true
}

/**
 * `sluice firewall up|down|status|print`: the chains and sets without the daemon. `status` ends with
 * EXIT.refused when something is missing.
 */
export function firewallCommand(): Command {
  const command = new Command('firewall').description('put chains and sets in place, remove or check them')
  command
    .command('up')
    .description('put chains and sets in place; without the daemon every packet passes, bans hold')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(up)
  command
    .command('down')
    .description('remove every chain and set of sluice; a running daemon puts them back: stop it first')
    .option('--keep-bans', 'leave the ban sets with their entries')
    .addOption(jsonOption())
    .action(down)
  command
    .command('status')
    .description('say whether all is in place; exit status 1 if not')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(status)
  command
    .command('print')
    .description('write the input of "iptables-restore --noflush"; needs no root')
    .option('-4, --ipv4', 'IPv4 only')
    .option('-6, --ipv6', 'IPv6 only')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(print)
  return command
}

async function up(options: Options): Promise<void> {
  const firewall = new Firewall(await loadPolicy(options))
  await firewall.up()
  const note = 'Until "sluice run" listens, every packet passes these queues; bans that are in the sets hold.'
  show(options, { inPlace: firewall.describe() }, [...firewall.describe(), note])
}

async function down(options: { keepBans?: true; json?: true }): Promise<void> {
  const removed = await takeDown({ keepBans: options.keepBans === true })
  const lines = removed.length === 0 ? ['nothing was in place'] : removed.map((each) => `removed ${each}`)
  show(options, { removed }, lines)
}

async function status(options: Options): Promise<void> {
  const { problems, setSizes } = await new Firewall(await loadPolicy(options)).verify()
  const sets = Object.fromEntries(setSizes)
  const lines = Object.entries(sets).map(([name, entries]) => `set ${name}: ${entries} entries`)
  const verdict = problems.length === 0 ? ['all chains and sets are in place'] : problems
  show(options, { ok: problems.length === 0, problems, sets }, [...lines, ...verdict])
  if (problems.length > 0) {
    throw new Failure(
      EXIT.refused,
      'the firewall is not in place',
      'start the daemon, or "sluice firewall up"',
    )
  }
}

async function print(options: Options & { ipv4?: true; ipv6?: true }): Promise<void> {
  const policy = await loadPolicy(options)
  const input = (family: Family) => restoreInput(NOTHING_LIVE, firewallRules(policy, family, shardConstant()))
  const both = options.ipv4 === options.ipv6
  const printed = {
    ...(both || options.ipv4 ? { ipv4: input(4) } : {}),
    ...(both || options.ipv6 ? { ipv6: input(6) } : {}),
  }
  const titles = { ipv4: '# iptables-restore --noflush', ipv6: '# ip6tables-restore --noflush' }
  const texts = Object.entries(printed).map(
    ([name, text]) => `${titles[name as keyof typeof titles]}\n${text}`,
  )
  show(options, printed, [texts.join('\n').trimEnd()])
}

function show(options: { readonly json?: true }, json: object, lines: readonly string[]): void {
  console.log(options.json ? JSON.stringify(json) : lines.join('\n'))
}

function configOption(): Option {
  return new Option('-c, --config <file>', 'policy file').default('/etc/sluice/sluice.yaml')
}

function jsonOption(): Option {
  return new Option('--json', 'one line of JSON instead of text')
}

/** Loaded on use: the parser of policies takes a while, and `down` must work without any policy. */
async function loadPolicy({ config }: Options): Promise<Policy> {
  const load = await import('../config/load.ts')
  return load.loadPolicy(config)
}
