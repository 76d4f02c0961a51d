import { describeRate } from '../config/explain.ts'
import type {
  BucketExplanation,
  ExplainReport,
  NextAttempt,
  ServiceExplanation,
} from '../control/requests/explain-report.ts'
import type { BanRow } from '../control/requests/rows.ts'
import { roughDuration } from '../control/rough-duration.ts'
import { evidence, sessions } from './explain-evidence.ts'
import { formatTable } from './table.ts'

/** Each section by its function: paragraphs, in this order, those that have nothing to say left out. */
const SECTIONS: readonly ((report: ExplainReport) => readonly string[])[] = [
  panic,
  heading,
  allowance,
  bans,
  offences,
  buckets,
  reverseNames,
  attempts,
  evidence,
  sessions,
]

/** An explanation for people. */
export function formatExplanation(report: ExplainReport): string {
  const paragraphs = SECTIONS.map((section) => section(report).join('\n'))
  return paragraphs.filter((paragraph) => paragraph !== '').join('\n\n')
}

function panic({ panic }: ExplainReport): string[] {
  if (panic === null) return []
  return [`PANIC since ${panic.since}: everything passes until "sluice resume"`]
}

function heading({ address, source, network }: ExplainReport): string[] {
  const counted = source === address ? 'counted by itself' : `counted as ${source}`
  return [`${address}: ${counted}, and with its network ${network}`]
}

function allowance({ allowed }: ExplainReport): string[] {
  if (allowed === null) return []
  return [`never limited or banned: ${allowed.prefix} is on the allow list (${allowed.reason})`]
}

function bans({ bans, at }: ExplainReport): string[] {
  if (bans.length === 0) return ['not banned']
  return bans.flatMap((ban) => oneBan(ban, at))
}

function oneBan(ban: BanRow, at: string): string[] {
  const ports = ban.scope === 'all' ? 'all ports' : ban.scope
  const verb = ban.mode === 'shadow' ? 'would be banned' : 'banned'
  const since = `${roughDuration(Date.parse(at) - Date.parse(ban.since))} ago, at ${ban.since}`
  const end =
    ban.until === null ? 'never by itself' : `in ${roughDuration(ban.secondsLeft! * 1000)}, at ${ban.until}`
  const offence = ban.offence === null ? '' : `, offence ${ban.offence}`
  return [
    `${verb}: ${ban.prefix} from ${ports}`,
    `  why    ${ban.reason}${offence}`,
    `  proof  ${PROOFS[ban.proof]}`,
    `  since  ${since}`,
    `  ends   ${end}; "sluice bans remove ${ban.prefix}" lifts it`,
  ]
}

const PROOFS: Readonly<Record<BanRow['proof'], string>> = {
  handshake: 'it completed a TCP handshake',
  none: 'none: the address may be forged',
  manual: 'a person has asked for it',
}

function offences({ offences, at }: ExplainReport): string[] {
  if (offences === null) return []
  const ago = roughDuration(Date.parse(at) - Date.parse(offences.last))
  const left = roughDuration(Date.parse(offences.forgotten) - Date.parse(at))
  return [`offences remembered: ${offences.count}, the last ${ago} ago; forgotten in ${left}`]
}

/** Distances are those of the papers: Euclidean, over octets. */
function reverseNames({ source, network, reverseNames }: ExplainReport): string[] {
  const rows = (['source', 'network'] as const).flatMap((who) => {
    const evidence = reverseNames[who]
    if (evidence === null) return []
    const { names, partial, near, within, meanDistance, kind } = evidence
    return [
      [
        who === 'source' ? source : network,
        names.toFixed(0),
        partial.toFixed(0),
        `${(near * 100).toFixed(0)} %`,
        `${(within * 100).toFixed(0)} %`,
        meanDistance.toFixed(1),
        kind === 'none' ? 'no sweep' : `${kind} sweep`,
      ],
    ]
  })
  if (rows.length === 0) return []
  const titles = [
    'REVERSE NAMES',
    'NEW',
    'PARTIAL',
    'STEPS OF 1-2',
    'IN ONE NETWORK',
    'MEAN DISTANCE',
    'TAKEN FOR',
  ]
  return [
    formatTable(
      titles.map((title) => ({ title })),
      rows,
    ),
  ]
}

function buckets({ services, dnsBuckets }: ExplainReport): string[] {
  const rows = [
    ...services.flatMap(({ name, buckets }) => bucketRows(name, buckets)),
    ...dnsBuckets.flatMap(({ of, service, buckets }) =>
      bucketRows(service ? `${service}/tcp` : `dns ${of}`, buckets),
    ),
  ]
  const titles = ['SERVICE', 'BUCKET', 'TOKENS', 'REFILL', 'NEXT TOKEN', 'FULL']
  return [
    formatTable(
      titles.map((title) => ({ title })),
      rows,
    ),
  ]
}

function bucketRows(name: string, buckets: readonly BucketExplanation[]): string[][] {
  return buckets.map((bucket, i) => [
    i === 0 ? name : '',
    bucket.kind,
    `${tokens(bucket)} of ${bucket.burst}`,
    describeRate(bucket.ratePerSecond),
    inTime(bucket.nextTokenInSeconds),
    inTime(bucket.fullInSeconds),
  ])
}

/** Whole ones: only they let an attempt through. */
function tokens({ tokens }: BucketExplanation): number {
  return Math.floor(tokens + 1e-3)
}

function inTime(seconds: number): string {
  if (seconds === 0) return 'now'
  return seconds < 1 ? 'within 1s' : `in ${roughDuration(seconds * 1000)}`
}

function attempts({ services }: ExplainReport): string[] {
  const titles = ['SERVICE', 'STRIKES', 'THE NEXT ATTEMPT']
  return [
    formatTable(
      titles.map((title) => ({ title })),
      services.map((service) => [service.name, strikes(service), next(service.next)]),
    ),
  ]
}

function strikes({ strikes }: ServiceExplanation): string {
  if (strikes === null) return 'no bans'
  const { count, needed, forgottenInSeconds } = strikes
  const left = count === 0 ? '' : `, forgotten in ${roughDuration(forgottenInSeconds * 1000)}`
  return `${count} of ${needed}${left}`
}

const OBSTACLES: Readonly<Record<NextAttempt['obstacles'][number]['by'], string>> = {
  ban: 'banned',
  hold: 'held by the kernel',
  source: 'source limit',
  network: 'network limit',
  total: 'total limit',
  known: 'limit of sources known good',
}

function next({ verdict, obstacles }: NextAttempt): string {
  if (verdict === 'accept') return 'passes'
  const reasons = obstacles.map(({ by }) => OBSTACLES[by]).join(', ')
  const times = obstacles.map(({ seconds }) => seconds)
  const clear = times.includes(null) ? 'it stays so' : `clear ${inTime(Math.max(...times.map(Number)))}`
  return `${verdict === 'shadow' ? 'passes, but would be' : 'is'} refused (${reasons}); ${clear}`
}
