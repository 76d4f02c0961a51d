import { Command } from 'commander'
import { ask } from '../control/requests/client.ts'
import { roughDuration } from '../control/rough-duration.ts'
import { type AskOptions, jsonOption, socketOption } from './command-options.ts'
import { show } from './show.ts'
import { formatTable } from './table.ts'

const LEARNED_COLUMNS = [
  { title: 'SOURCE' },
  { title: 'SERVICE' },
  { title: 'LOGINS', align: 'right' },
  { title: 'LAST' },
  { title: 'ENDS' },
] as const

const UNTIL_STOP = 'this lasts until sluice stops; "allow" in the policy file lasts'
const UNTIL_REMOVED = 'this lasts until "allow remove"'

/** `sluice allow list|add|remove`. */
export function allowCommand(): Command {
  const command = new Command('allow').description(
    'list, add or remove sources that are never limited or banned',
  )
  command
    .command('list')
    .description('the allow list, with where each entry comes from')
    .option('--learned', 'instead, the sources that are known good since their logins succeeded')
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(list)
  command
    .command('add')
    .description('allow an address or a network, and lift its bans')
    .argument('<address>', 'such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/48')
    .option('--reason <text>', 'shown in the list and the log')
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(add)
  command
    .command('remove')
    .description('take back what "allow add" has added')
    .argument('<address>', 'as the list shows it')
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(remove)
  command
    .command('forget')
    .description('make strangers of sources that are known good')
    .argument('<address>', 'an address, or a network with all that is known good in it')
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(forget)
  return command
}

async function list(options: AskOptions & { readonly learned?: boolean }): Promise<void> {
  if (options.learned === true) return listLearned(options)
  const rows = await ask(options.socket, { op: 'allow list' })
  const cells = rows.map(({ prefix, origin, reason }) => [prefix, origin, reason])
  const table = formatTable([{ title: 'SOURCE' }, { title: 'FROM' }, { title: 'REASON' }], cells)
  show(options, rows, rows.length === 0 ? 'the allow list is empty' : table)
}

async function listLearned(options: AskOptions): Promise<void> {
  const rows = await ask(options.socket, { op: 'allow learned' })
  const nowMs = Date.now()
  const cells = rows.map(({ source, service, successes, last, until }) => [
    source,
    service,
    String(successes),
    `${roughDuration(nowMs - Date.parse(last))} ago`,
    `in ${roughDuration(Date.parse(until) - nowMs)}`,
  ])
  const table = formatTable(LEARNED_COLUMNS, cells)
  show(options, rows, rows.length === 0 ? 'nobody is known good yet' : table)
}

async function forget(prefix: string, options: AskOptions): Promise<void> {
  const result = await ask(options.socket, { op: 'allow forget', prefix })
  const lines = result.forgotten.map(
    ({ source, service }) => `${source} is no longer known good to ${service}`,
  )
  show(options, result, lines.join('\n'))
}

async function add(prefix: string, options: AskOptions & { readonly reason?: string }): Promise<void> {
  const { reason } = options
  const result = await ask(options.socket, {
    op: 'allow add',
    prefix,
    ...(reason === undefined ? {} : { reason }),
  })
  const lines = [
    `allowed ${result.entry.prefix}; ${result.isRemembered ? UNTIL_REMOVED : UNTIL_STOP}`,
    ...result.lifted.map((ban) => `lifted the ban of ${ban.prefix} (${ban.scope})`),
    ...result.notes,
  ]
  show(options, result, lines.join('\n'))
}

async function remove(prefix: string, options: AskOptions): Promise<void> {
  const result = await ask(options.socket, { op: 'allow remove', prefix })
  show(options, result, `${result.entry.prefix} is no longer allowed`)
}
