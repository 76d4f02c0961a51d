import { Command } from 'commander'
import { counted } from '../control/counted.ts'
import { ask } from '../control/requests/client.ts'
import type { StatusReport } from '../control/requests/protocol.ts'
import { roughDuration } from '../control/rough-duration.ts'
import { grouped } from '../grouped.ts'
import { type AskOptions, jsonOption, socketOption } from './command-options.ts'
import { formatDns } from './dns-text.ts'
import { show } from './show.ts'
import { formatTable } from './table.ts'

/** `sluice status`. */
export function statusCommand(): Command {
  return new Command('status')
    .description('what the daemon does and how it fares')
    .option('--dns', 'who asks DNS, for what, and who makes this host ask')
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(status)
}

async function status(options: AskOptions & { dns?: true }): Promise<void> {
  if (options.dns) {
    const report = await ask(options.socket, { op: 'dns' })
    show(options, report, formatDns(report))
    return
  }
  const report = await ask(options.socket, { op: 'status' })
  show(options, report, formatStatus(report, Date.now()))
}

/** The report for people, 80 columns wide. @param nowMs for "3m ago". */
export function formatStatus(report: StatusReport, nowMs: number): string {
  const { threads } = report
  const facts = [
    ['policy', policy(report)],
    ['firewall', firewall(report, nowMs)],
    ['threads', `${threads.live} of ${threads.count} running, ${counted(threads.restarts, 'restart')}`],
    [
      'sources',
      `${grouped(report.tracked)} tracked, ${grouped(knownOf(report))} known good, ` +
        `${grouped(report.allowed)} entries on the allow list`,
    ],
    ['sessions', sessions(report)],
    ['bans', `${grouped(report.bansOfAllPorts)} from all ports; for the others see below`],
    ['store', store(report)],
    ['reload', reload(report, nowMs)],
    ['metrics', report.metrics ?? 'off'],
  ] as const
  return [
    ...panic(report),
    `sluice ${report.version}, process ${report.pid}, up ${roughDuration(report.uptimeSeconds * 1000)}`,
    ...facts.map(([name, text]) => `${name.padEnd(8)}  ${text}`),
    '',
    queues(report),
    '',
    services(report),
  ].join('\n')
}

function sessions({ sessions: { open, seen, provenSources, problem } }: StatusReport): string {
  if (problem !== null) return `NOT SEEN: ${problem}`
  return `${grouped(open)} open, ${grouped(seen)} seen, ${counted(provenSources, 'proven source')}`
}

function panic({ panic }: StatusReport): string[] {
  if (panic === null) return []
  return [
    `PANIC since ${panic.since} (${panic.reason}):`,
    'nothing is limited and nobody is banned until "sluice resume"',
    '',
  ]
}

function policy({ policyFile, mode, trial }: StatusReport): string {
  if (trial === null) return `${policyFile}, mode ${mode}`
  const left = roughDuration(trial.secondsLeft * 1000)
  return `ON TRIAL for ${left}: ${trial.file}, mode ${mode}; "sluice confirm" keeps it`
}

function knownOf({ services }: StatusReport): number {
  return services.reduce((sum, { known }) => sum + known, 0)
}

function queues(report: StatusReport): string {
  const titles = ['QUEUE', 'WAITING', 'RECEIVED', 'DROPPED', 'BYPASSED']
  return formatTable(
    titles.map((title) => ({ title, align: 'right' })),
    report.queues.map((queue) => [
      `${queue.queue}`,
      grouped(queue.waiting),
      grouped(queue.received),
      grouped(queue.dropped),
      grouped(queue.bypassed),
    ]),
  )
}

function services(report: StatusReport): string {
  const columns = [
    { title: 'SERVICE' },
    { title: 'MODE' },
    ...['ACCEPTED', 'REFUSED', 'STRIKES', 'BANS', 'HOLDS'].map((title) => ({
      title,
      align: 'right' as const,
    })),
    { title: 'PORTS' },
  ]
  return formatTable(
    columns,
    report.services.map((service) => [
      service.name,
      service.mode,
      grouped(service.accepted),
      grouped(service.refused),
      grouped(service.strikes),
      grouped(service.bans),
      grouped(service.holds),
      service.ports.join(', '),
    ]),
  )
}

function firewall({ firewall }: StatusReport, nowMs: number): string {
  const state = firewall.inPlace ? 'in place' : firewall.problems.join('; ')
  const last = firewall.lastRepair === null ? '' : `, the last ${ago(firewall.lastRepair, nowMs)}`
  return `${state}; ${counted(firewall.repairs, 'repair')}${last}`
}

function store({ store }: StatusReport): string {
  if (store === null) return 'off: nothing is remembered over a restart'
  return store.problem ?? store.path
}

function reload({ lastReload }: StatusReport, nowMs: number): string {
  return lastReload === null ? 'none yet' : `${ago(lastReload.at, nowMs)}: ${lastReload.message}`
}

function ago(iso: string, nowMs: number): string {
  return `${roughDuration(nowMs - Date.parse(iso))} ago`
}
