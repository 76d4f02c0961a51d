import { counted } from '../control/counted.ts'
import { roughDuration } from '../control/rough-duration.ts'
import { grouped } from '../grouped.ts'
import { otherRefusals } from '../replay/other-refusals.ts'
import type { BanRow, BucketRow, QueryRow, ServiceRow } from '../replay/rows.ts'
import type { Rows } from '../replay/rows-on-demand.ts'
import { type PolicySummary, type Summary, unsolicitedText } from '../replay/summary.ts'
import { type Clock, clockOf, columns, dateTime, firstRows, hang } from './replay-text.ts'
import { formatTable } from './table.ts'

/** Names in a line of the head. */
const MOST_NAMES = 4

/** What a replay found out, for people. */
export function formatReplay(summary: Summary): string {
  const { policy } = summary
  const time = clockOf(summary)
  const sections = [head(summary), services(policy.services)]
  if (policy.unsolicitedAnswers > 0) sections.push(unsolicitedText(policy))
  if (policy.limited.length > 0) sections.push(limited(policy.limited, time))
  if (policy.queries.length > 0) sections.push(queries(policy.queries, time))
  if (policy.banned.length > 0) sections.push(banned(policy, time))
  if (policy.sessions.length > 0) sections.push(sessions(policy, time))
  if (policy.close.length > 0) sections.push(close(policy.close, time))
  const isJudged = policy.services.some(({ attempts }) => attempts > 0)
  if (isJudged && policy.banned.length === 0 && policy.services.every(({ refused }) => refused === 0)) {
    sections.push('Nobody would have been limited or banned.')
  }
  sections.push(...leftOut(policy))
  return sections.join('\n\n')
}

function head(summary: Summary): string {
  const { files, from, to, seconds, policy, notes } = summary
  const packets = counted(
    files.reduce((sum, file) => sum + file.packets, 0),
    'packet',
  )
  const span =
    from === null || to === null
      ? ''
      : `, ${dateTime(from)} to ${dateTime(to)} UTC (${roughDuration(seconds * 1000)})`
  const facts: [name: string, text: string][] = [
    ['capture', fewOf(files.map(({ file }) => (file === '-' ? 'standard input' : file)))],
    ['', `${packets}${span}`],
    ['policy', `${policy.file}, mode ${policy.mode}`],
    ['local', local(summary)],
    ...notes.map((note): [string, string] => ['note', note]),
  ]
  return facts.flatMap(([name, text]) => hang(name.padEnd(9), text)).join('\n')
}

function local({ local: { prefixes, inferred }, policy: { services } }: Summary): string {
  if (prefixes.length === 0) return 'unknown: there is no attempt at a port of a service in it'
  const shown = fewOf(prefixes)
  if (inferred === null) return shown
  const { attempts, inbound, isWhole } = inferred
  const all = inbound === attempts
  const share = all ? (attempts === 1 ? 'the only' : 'all') : `${Math.floor((inbound / attempts) * 100)} %`
  const which = isWhole ? (all ? '' : 'of ') : 'of the first '
  const isAsked = services.some((each) => each.attempts > 0)
  const number = (noun: string) => (attempts === 1 ? noun : counted(attempts, noun))
  const what = isAsked ? `${number('attempt')} at service ports` : `${number('answer')} from port 53`
  const attemptsSeen = `${share} ${which}${what}`
  return `${shown} (inferred: destination of ${attemptsSeen}${all ? '' : '; --local overrides'})`
}

function fewOf(names: readonly string[]): string {
  const more = names.length - MOST_NAMES
  return names.slice(0, MOST_NAMES).join(', ') + (more > 0 ? ` and ${grouped(more)} more` : '')
}

function services(rows: readonly ServiceRow[]): string {
  const seen = rows.filter(({ attempts }) => attempts > 0)
  if (seen.length === 0) return 'No attempt at a port of a service came in: there is nothing to judge.'
  const table = formatTable(
    columns('SERVICE', 'MODE', '>ATTEMPTS', '>ACCEPTED', '>REFUSED', '>BANNED', '>ALLOWED'),
    seen.map((row) => [
      row.service,
      row.mode,
      ...[row.attempts, row.accepted, row.refused, row.banned, row.allowed].map(grouped),
    ]),
  )
  const unseen = rows.filter(({ attempts }) => attempts === 0).map(({ service }) => service)
  const others = otherRefusals(rows)
  return [
    table,
    ...(others.length === 0 ? [] : hang('refused as: ', others.join(', '))),
    ...(unseen.length === 0 ? [] : hang('no attempts: ', unseen.join(', '))),
  ].join('\n')
}

function limited(rows: Rows<BucketRow>, time: Clock): string {
  return [
    'Limited (NEEDED: the burst that would have let everything through)',
    firstRows(
      columns('WHO', 'SERVICE', 'LIMIT', '>AFTER', 'AT', '>REFUSED', '>OF', '>BURST', '>NEEDED'),
      rows,
      (row) => [
        who(row),
        serviceOf(row),
        row.limit,
        ...time(row.firstRefusal),
        ...[row.refused, row.attempts, row.burst, row.burstNeeded].map(grouped),
      ],
    ),
  ].join('\n')
}

function queries(rows: Rows<QueryRow>, time: Clock): string {
  return [
    'Limited by the rules for DNS queries (WHY: the first time; docs/reasons.md)',
    firstRows(columns('SOURCE', 'SERVICE', 'WHY', '>AFTER', 'AT', '>REFUSED', '>OF'), rows, (row) => [
      row.source,
      serviceOf(row),
      row.reason,
      ...time(row.first),
      ...[row.refused, row.attempts].map(grouped),
    ]),
  ].join('\n')
}

function banned({ banned, jitter }: PolicySummary, time: Clock): string {
  const longer = jitter === 0 ? '' : ` (FOR: at least; up to ${Math.round(jitter * 100)} % more at random)`
  return [
    `Banned${longer}`,
    firstRows(
      columns('SOURCE', 'PORTS', '>AFTER', 'AT', 'FOR', '>OFFENCE', '>DROPS', 'REASON'),
      banned,
      (row) => [
        row.source,
        portsOf(row),
        ...time(row),
        roughDuration(row.seconds * 1000),
        row.offence?.toString() ?? '-',
        grouped(row.dropped),
        row.reason,
      ],
    ),
  ].join('\n')
}

function sessions({ services, sessions }: PolicySummary, time: Clock): string {
  const sum = (outcome: keyof ServiceRow['sessions']) =>
    grouped(services.reduce((total, row) => total + row.sessions[outcome], 0))
  return [
    `Sessions: ${sum('failed')} failed, ${sum('succeeded')} succeeded, ${sum('unclear')} unclear`,
    firstRows(
      columns(
        'SOURCE',
        'SERVICE',
        '>FAILED',
        '>TRIES',
        '>SUCCEEDED',
        '>UNCLEAR',
        '>FIRST',
        'AT',
        '>LAST',
        'AT',
      ),
      sessions,
      (row) => [
        row.source,
        row.service,
        ...[row.failed, row.tries, row.succeeded, row.unclear].map(grouped),
        ...time(row.first),
        ...time(row.last),
      ],
    ),
  ].join('\n')
}

function close(rows: Rows<BucketRow>, time: Clock): string {
  return [
    'Close to a limit (at least 80 % of a bucket used up, nothing refused by it)',
    firstRows(
      columns('WHO', 'SERVICE', 'LIMIT', '>AFTER', 'AT', '>ATTEMPTS', '>BURST', '>USED'),
      rows,
      (row) => [
        who(row),
        serviceOf(row),
        row.limit,
        ...time(row.peak),
        ...[row.attempts, row.burst, row.burstNeeded].map(grouped),
      ],
    ),
  ].join('\n')
}

function leftOut({ leftOut: { sources, networks, bans, sessions } }: PolicySummary): string[] {
  const parts = [
    ...(sources > 0 ? [counted(sources, 'source')] : []),
    ...(networks > 0 ? [counted(networks, 'network')] : []),
    ...(bans > 0 ? [counted(bans, 'ban')] : []),
    ...(sessions > 0 ? [`the sessions of ${counted(sessions, 'source')}`] : []),
  ]
  if (parts.length === 0) return []
  const text = `Left out of these lists to keep memory bounded, but in the totals: ${parts.join(', ')}.`
  return [hang('', text).join('\n')]
}

function who(row: BucketRow): string {
  return row.limit === 'total' ? 'everybody' : row.who
}

function serviceOf({ service, mode }: Pick<BucketRow, 'service' | 'mode'>): string {
  return mode === 'shadow' ? `${service} (shadow)` : service
}

function portsOf({ scope, mode }: BanRow): string {
  return mode === 'shadow' ? `${scope} (shadow)` : scope
}
