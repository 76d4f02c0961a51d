import { Command, InvalidArgumentError } from 'commander'
import { duration } from '../config/values.ts'
import { LONGEST_BAN_SECONDS } from '../control/bans/escalation.ts'
import { counted } from '../control/counted.ts'
import { ask } from '../control/requests/client.ts'
import type { Results } from '../control/requests/protocol.ts'
import { formatBans } from './ban-table.ts'
import { type AskOptions, jsonOption, socketOption } from './command-options.ts'
import { show } from './show.ts'

interface AddOptions extends AskOptions {
  readonly for?: number
  readonly service?: string
  readonly reason?: string
}

/** `sluice bans list|add|remove`. */
export function bansCommand(): Command {
  const command = new Command('bans').description('list, add or remove bans')
  command
    .command('list')
    .description('bans in force, those that end first on top')
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(list)
  command
    .command('add')
    .description('ban an address or a network; a bare IPv6 address means its /64')
    .argument('<address>', 'such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/48')
    .option('--for <time>', 'such as 90s, 10m, 2h or 3d (default: as long as a first offence)', seconds)
    .option('--service <name>', 'ban from the ports of this service (default: from all ports)')
    .option('--reason <text>', 'shown in the list and the log')
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(add)
  command
    .command('remove')
    .description(
      'lift a ban, and forget strikes, failed logins and offences of the source, or of all in the network',
    )
    .argument('<address>', 'as the list shows it')
    .option('--service <name>', 'only the ban from this service, or from "all" ports')
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(remove)
  return command
}

async function list(options: AskOptions): Promise<void> {
  const bans = await ask(options.socket, { op: 'bans list' })
  show(options, bans, bans.length === 0 ? 'nobody is banned' : formatBans(bans))
}

async function add(prefix: string, options: AddOptions): Promise<void> {
  const { service, reason } = options
  const result = await ask(options.socket, {
    op: 'bans add',
    prefix,
    ...(options.for === undefined ? {} : { seconds: options.for }),
    ...(service === undefined ? {} : { service }),
    ...(reason === undefined ? {} : { reason }),
  })
  show(options, result, [...result.notes, formatBans([result.ban])].join('\n'))
}

async function remove(prefix: string, options: AskOptions & { readonly service?: string }): Promise<void> {
  const { service } = options
  const result = await ask(options.socket, {
    op: 'bans remove',
    prefix,
    ...(service === undefined ? {} : { service }),
  })
  const lines = result.lifted.map((ban) => `lifted the ban of ${ban.prefix} (${ban.scope})`)
  lines.push(...forgotten(result.cleared, prefix))
  show(options, result, lines.join('\n'))
}

/** `forgot 3 strikes and 2 failed logins of 192.0.2.7`. */
function forgotten(cleared: Results['bans remove']['cleared'], prefix: string): string[] {
  const { strikes, offences, failedLogins, sources, strikesStay } = cleared
  const counts = [
    ...(strikes > 0 ? [counted(strikes, 'strike')] : []),
    ...(failedLogins > 0 ? [counted(failedLogins, 'failed login')] : []),
    ...(offences > 0 ? [counted(offences, 'offence')] : []),
  ]
  const whose = prefix.includes('/') ? `${counted(sources, 'source')} in ${prefix}` : prefix
  return [
    ...(counts.length === 0 ? [] : [`forgot ${new Intl.ListFormat('en-GB').format(counts)} of ${whose}`]),
    ...(strikesStay ? [`strikes of sources in ${prefix} stay until they are forgotten by themselves`] : []),
  ]
}

function seconds(text: string): number {
  try {
    return duration(1000, LONGEST_BAN_SECONDS * 1000)(text) / 1000
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}
