import { counted } from '../control/counted.ts'
import { roughDuration } from '../control/rough-duration.ts'
import { grouped } from '../grouped.ts'
import { MARGINS } from '../tune/demands.ts'
import type {
  AttackReport,
  CaptureReport,
  LimitText,
  PassageRow,
  ServiceReport,
  TuneReport,
} from '../tune/report.ts'
import { formatShare } from '../tune/share.ts'
import { columns, hang } from './replay-text.ts'
import { formatTable } from './table.ts'
import { plotCurve } from './tune-plot.ts'

/** Of each attack. */
const MOST_SOURCES = 8

/** What tuning found out, for people. @param yamlFile where the YAML went, if not here */
export function formatTuning(report: TuneReport, yamlFile: string | undefined): string {
  const { honest, services, attacks, share } = report
  const seen = services.filter(({ sources }) => sources > 0)
  return [
    captures('honest', honest),
    [limits(seen), ...unseen(services)].join('\n'),
    ...seen.map((service) => demand(service, share)),
    ...attacks.map(attack),
    ...yaml(report, yamlFile),
  ].join('\n\n')
}

function captures(kind: string, report: CaptureReport): string {
  const { files, packets, seconds, local, isLocalInferred, notes } = report
  const why = isLocalInferred ? ' (inferred; --local overrides)' : ''
  const facts: [name: string, text: string][] = [
    [kind, files.join(', ')],
    ['', `${counted(packets, 'packet')} in ${roughDuration(seconds * 1000)}`],
    ['local', local.length > 0 ? `${local.join(', ')}${why}` : 'unknown'],
    ...notes.map((note): [string, string] => ['note', note]),
  ]
  return facts.flatMap(([name, text]) => hang(name.padEnd(9), text)).join('\n')
}

function limits(services: readonly ServiceReport[]): string {
  const rows = services.flatMap(({ service, limits }) =>
    limits.map(({ limit, now, proposed, basis }, i) => [
      i === 0 ? service : '',
      limit,
      limitText(now),
      limitText(proposed),
      basis,
    ]),
  )
  return formatTable(columns('SERVICE', 'LIMIT', 'NOW', 'PROPOSED', 'BASIS'), rows)
}

function unseen(services: readonly ServiceReport[]): string[] {
  const names = services.filter(({ sources }) => sources === 0).map(({ service }) => service)
  return names.length === 0 ? [] : hang('no honest traffic, limits as they are: ', names.join(', '))
}

function limitText(limit: LimitText | null): string {
  return limit === null ? '-' : `${grouped(limit.burst)}, then ${limit.rate}`
}

function demand(report: ServiceReport, share: number): string {
  const { service, sources, wanted, letThrough, banned, curve, notes } = report
  const lets = `the proposed policy lets ${grouped(letThrough)} through whole and bans ${grouped(banned)}`
  return [
    ...hang(
      `${service}: `,
      `${counted(sources, 'honest source')}; ${formatShare(share)} are ${grouped(wanted)}; ${lets}`,
    ),
    ...notes.flatMap((note) => hang('  note: ', note)),
    ...(curve.some(({ isProposed }) => isProposed)
      ? [
          `  what they need, times ${MARGINS.source}, at each rate; and what that gives one attacker in an hour`,
          plotCurve(curve),
        ]
      : []),
  ].join('\n')
}

function attack({ services, sources, ...report }: AttackReport): string {
  if (services.length === 0) return captures('attack', report)
  const totals = services.filter((row) => row.sources > 1)
  const more = sources.length - MOST_SOURCES
  return [
    captures('attack', report),
    formatTable(
      columns('SERVICE', 'SOURCE', '>ATTEMPTS', '>A MIN', '>PASSED', '>A MIN', '>REFUSED AT', '>BANNED AT'),
      [...totals, ...sources.slice(0, MOST_SOURCES)].map(passage),
    ),
    ...(more > 0 ? [`and ${counted(more, 'source')} more; --json has them all`] : []),
  ].join('\n')
}

function passage(row: PassageRow): string[] {
  return [
    row.service,
    row.source === '*' ? `all ${grouped(row.sources)}` : row.source,
    grouped(row.attempts),
    row.attemptsAMinute.toFixed(1),
    grouped(row.accepted),
    row.acceptedAMinute.toFixed(1),
    after(row.refusedAfterSeconds),
    after(row.bannedAfterSeconds),
  ]
}

function after(seconds: number | null): string {
  if (seconds === null) return 'never'
  return seconds < 60 ? `+${seconds.toFixed(1)}s` : `+${roughDuration(seconds * 1000)}`
}

function yaml(report: TuneReport, file: string | undefined): string[] {
  if (report.yaml === null) return []
  return [file === undefined ? report.yaml.trimEnd() : `The proposed services are in ${file}.`]
}
