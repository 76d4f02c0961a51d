import { Command } from 'commander'
import { ask } from '../control/requests/client.ts'
import { type AskOptions, jsonOption, socketOption } from './command-options.ts'
import { formatExplanation } from './explain-text.ts'
import { show } from './show.ts'

/** `sluice explain ADDRESS`. */
export function explainCommand(): Command {
  return new Command('explain')
    .description('everything that touches an address: bans, buckets, strikes, and what it would get now')
    .argument('<address>', 'such as 192.0.2.7 or 2001:db8::7')
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(explain)
}

async function explain(address: string, options: AskOptions): Promise<void> {
  const report = await ask(options.socket, { op: 'explain', address })
  show(options, report, formatExplanation(report))
}
