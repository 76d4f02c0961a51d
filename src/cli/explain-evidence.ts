import { counted } from '../control/counted.ts'
import type { ExplainReport, ServiceExplanation } from '../control/requests/explain-report.ts'
import { roughDuration } from '../control/rough-duration.ts'
import { formatTable } from './table.ts'

/** What the source has shown to each service. */
export function evidence({ services, at }: ExplainReport): string[] {
  const titles = ['SERVICE', 'HANDSHAKES', 'FAILED LOGINS', 'KNOWN GOOD']
  const rows = services.map(({ name, evidence }) => [
    name,
    handshakes(evidence),
    failures(evidence),
    trust(evidence, at),
  ])
  const judging = services.flatMap(({ name, evidence: { judging } }) =>
    judging === null ? [] : `sessions of ${name} are judged ${judging}`,
  )
  return [table(titles, rows), ...judging]
}

/** The last sessions. */
export function sessions({ sessions, at }: ExplainReport): string[] {
  if (sessions.length === 0) return []
  const titles = ['SESSION', 'SERVICE', 'FROM', 'OUTCOME', 'LASTED', 'TO US', 'TO IT']
  const rows = sessions.map((session) => [
    `${ago(session.at, at)} ago`,
    session.service,
    session.address,
    outcome(session),
    roughDuration(session.durationSeconds * 1000),
    volume(session.toServer),
    volume(session.toClient),
  ])
  return [table(titles, rows)]
}

type Evidence = ServiceExplanation['evidence']

function handshakes({ handshakes: { count, needed } }: Evidence): string {
  return needed === 0 ? `${count}, none needed for a ban` : `${count} of ${needed} needed for a ban`
}

function failures({ failures }: Evidence): string {
  if (failures === null) return 'not counted'
  const { tries, needed, nextForgottenInSeconds } = failures
  const next = tries === 0 ? '' : `, one forgotten in ${roughDuration(nextForgottenInSeconds * 1000)}`
  return `${tries} of ${needed}${next}`
}

function trust({ trust }: Evidence, at: string): string {
  if (trust === null) return 'no'
  const { isKnownGood, successes, last, until } = trust
  const used = `${counted(successes, 'login')}, the last ${ago(last, at)} ago`
  return isKnownGood ? `for ${ago(at, until)} (${used})` : `no longer (${used})`
}

function outcome({ outcome, tries }: ExplainReport['sessions'][number]): string {
  return tries === null || tries === 1 ? outcome : `${outcome}, ${tries} tries`
}

function volume({ packets, bytes }: ExplainReport['sessions'][number]['toServer']): string {
  return `${packets} packets, ${bytes} bytes`
}

function ago(earlier: string, later: string): string {
  return roughDuration(Date.parse(later) - Date.parse(earlier))
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  return formatTable(
    titles.map((title) => ({ title })),
    rows,
  )
}
