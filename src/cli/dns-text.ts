import type { DnsReport } from '../control/dns/dns-report.ts'
import { grouped } from '../grouped.ts'
import { formatTable } from './table.ts'

/** The report for people, 80 columns wide. */
export function formatDns(report: DnsReport): string {
  return [
    'counted in the last 10 to 20 minutes, at least:',
    '',
    section(
      'QUERIES',
      'FROM',
      report.queriers.map(({ queries, source }) => [grouped(queries), source]),
    ),
    '',
    section(
      'REVERSE QUERIES',
      'ABOUT',
      report.reverseNetworks.map(({ queries, network }) => [grouped(queries), network]),
    ),
    '',
    report.induced === null
      ? 'reverse lookups of this host are not looked at (dns.induced: off)'
      : section(
          'LOOKUPS CAUSED',
          'BY A CLIENT OF',
          report.causes.map(({ lookups, source, service }) => [grouped(lookups), `${service}: ${source}`]),
        ),
    ...(report.induced === null ? [] : ['', induced(report.induced)]),
    '',
    reverse(report.reverse),
    unsolicited(report.unsolicited),
    slip(report.slip),
  ].join('\n')
}

function induced({ services, unexplained }: NonNullable<DnsReport['induced']>): string {
  const rows = services.map(({ service, total, lastHour, alarm }) => [
    service,
    grouped(lastHour),
    grouped(total),
    alarm ? 'yes' : 'no',
  ])
  const columns = [
    { title: 'SERVICE' },
    { title: 'IN THE LAST HOUR', align: 'right' as const },
    { title: 'SINCE THE START', align: 'right' as const },
    { title: 'ALARM' },
  ]
  const other = `lookups of addresses that have not been here: ${grouped(unexplained)}`
  return rows.length === 0 ? other : `${formatTable(columns, rows)}\n${other}`
}

function reverse(report: DnsReport['reverse']): string {
  if (report === null) return 'floods of reverse queries are not looked for (dns.flood: off)'
  const { perSecond, threshold, isFlooded, thinned } = report
  const rate = `reverse queries: ${grouped(Math.round(perSecond))} a second`
  if (!isFlooded) return `${rate}; more than ${grouped(Math.round(threshold))} would be a flood`
  const families = thinned.map((family) => `IPv${family}`).join(' and ')
  return `${rate} (FLOOD)${thinned.length === 0 ? '' : `, and about 7 times as many over ${families} that the kernel drops`}`
}

function unsolicited({ perSecond, sources, alarm }: DnsReport['unsolicited']): string {
  const rate = `answers that nobody asked for: ${grouped(Math.round(perSecond))} a second`
  return `${rate}, from about ${grouped(sources)} sources${alarm ? ' (ALARM)' : ''}`
}

function slip({ oneIn, obstacle, proven }: DnsReport['slip']): string {
  if (oneIn === 0) return 'refused queries are dropped (dns.slip: 0)'
  if (obstacle !== null) return `refused queries are dropped, not asked to come back over TCP: ${obstacle}`
  return `one in ${oneIn} refused queries is asked to come back over TCP; ${grouped(proven)} resolvers did`
}

function section(title: string, what: string, rows: readonly (readonly string[])[]): string {
  const shown = rows.length === 0 ? [['0', '-']] : rows
  return formatTable([{ title, align: 'right' }, { title: what }], shown)
}
