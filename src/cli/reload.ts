import { Command } from 'commander'
import { counted } from '../control/counted.ts'
import { ask } from '../control/requests/client.ts'
import { type AskOptions, jsonOption, socketOption } from './command-options.ts'
import { show } from './show.ts'

/** `sluice reload`: like SIGHUP, but with the outcome as the answer. */
export function reloadCommand(): Command {
  return new Command('reload')
    .description('put the changed policy file in force; a bad one is refused (78) and the old one stays')
    .addOption(socketOption())
    .addOption(jsonOption())
    .action(reload)
}

async function reload(options: AskOptions): Promise<void> {
  const report = await ask(options.socket, { op: 'reload' })
  const lines = [`reloaded ${report.file}`]
  if (report.pending.length > 0) lines.push(`takes effect at the next start: ${report.pending.join(', ')}`)
  if (report.lifted > 0)
    lines.push(`lifted ${counted(report.lifted, 'ban')} that the new policy does not allow`)
  show(options, report, lines.join('\n'))
}
