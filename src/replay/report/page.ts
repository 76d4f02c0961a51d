import { createHash } from 'node:crypto'
import { explainPolicy } from '../../config/explain.ts'
import { counted } from '../../control/counted.ts'
import { roughDuration } from '../../control/rough-duration.ts'
import { grouped } from '../../grouped.ts'
import { otherRefusals } from '../other-refusals.ts'
import { type PolicySummary, type Summary, unsolicitedText } from '../summary.ts'
import { bansSection, clockTime } from './bans-section.ts'
import { changesSection } from './changes-section.ts'
import { Html, html } from './html.ts'
import { levelsSection } from './levels-section.ts'
import type { Recorder } from './recorder.ts'
import { SCRIPT } from './script.ts'
import { sessionsSection } from './sessions-section.ts'
import { sourcesSection, topSources } from './sources-section.ts'
import { STYLE } from './style.ts'
import { table } from './table.ts'
import { TimeAxis } from './time-axis.ts'
import { timelineSection } from './timeline-section.ts'

const MOST_NAMES = 10

/** Nothing is fetched, and nothing runs but what is in the page: not even what slipped past the escaping. */
const CONTENT_POLICY = [
  "default-src 'none'",
  `style-src '${hash(STYLE)}'`,
  `script-src '${hash(SCRIPT)}'`,
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

/**
 * What a replay found out, as one page of HTML that needs nothing else: the same for the same captures and
 * policies, to the byte.
 */
export function renderReport(summary: Summary, { outcome, timeline, levels }: Recorder): string {
  const { policy, against, seconds } = summary
  const axis = new TimeAxis(seconds * 1000)
  const top = topSources(outcome)
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${CONTENT_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>sluice replay: ${names(summary)}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<main>
${factsSection(summary)}
${totalsSection(policy)}
${timelineSection(policy.services, timeline, axis)}
${sourcesSection(top, policy.queries)}
${bansSection(policy.banned, policy.jitter, axis)}
${sessionsSection(policy.services, policy.sessions)}
${levelsSection(top, levels, policy.banned, axis)}
${against === null ? '' : changesSection(policy, against)}
<section><h2>Policy</h2>
<p>${policy.file}, with all that it leaves to defaults:</p>
<pre>${explainPolicy(outcome.policy)}</pre></section>
</main>
<script>${new Html(SCRIPT)}</script>
</body>
</html>
`
  return page.text
}

function hash(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}

function factsSection(summary: Summary): Html {
  const { files, from, to, seconds, policy, notes } = summary
  const packets = counted(
    files.reduce((sum, file) => sum + file.packets, 0),
    'packet',
  )
  const span =
    from === null || to === null
      ? 'no packets'
      : `${clockTime(from)} to ${clockTime(to)} UTC (${roughDuration(seconds * 1000)})`
  return html`<h1>sluice replay</h1>
<dl>
<dt>Capture</dt><dd>${names(summary)}; ${packets}</dd>
<dt>Time</dt><dd>${span}</dd>
<dt>Policy</dt><dd>${policy.file}, mode ${policy.mode}</dd>
<dt>Local addresses</dt><dd>${localAddresses(summary)}</dd>
</dl>
${notes.length === 0 ? '' : html`<h2>Notes on the captures</h2><ul>${notes.map((note) => html`<li>${note}</li>`)}</ul>`}`
}

function names({ files }: Summary): string {
  return firstOf(files.map(({ file }) => (file === '-' ? 'standard input' : file)))
}

function localAddresses({ local: { prefixes, inferred }, policy: { services } }: Summary): string {
  if (prefixes.length === 0) return 'unknown'
  const what = services.some(({ attempts }) => attempts > 0) ? 'attempt' : 'answer'
  const how =
    inferred === null
      ? 'as told'
      : `inferred: destination of ${grouped(inferred.inbound)} of ${counted(inferred.attempts, what)}`
  return `${firstOf(prefixes)} (${how})`
}

function firstOf(texts: readonly string[]): string {
  const more = texts.length - MOST_NAMES
  return texts.slice(0, MOST_NAMES).join(', ') + (more > 0 ? ` and ${grouped(more)} more` : '')
}

function totalsSection(policy: PolicySummary): Html {
  const { services, banned, leftOut, unsolicitedAnswers } = policy
  const seen = services.filter(({ attempts }) => attempts > 0)
  const others = otherRefusals(services)
  const missing = [
    ...(leftOut.sources > 0 ? [counted(leftOut.sources, 'source')] : []),
    ...(leftOut.networks > 0 ? [counted(leftOut.networks, 'network')] : []),
    ...(leftOut.bans > 0 ? [counted(leftOut.bans, 'ban')] : []),
    ...(leftOut.sessions > 0 ? [`the sessions of ${counted(leftOut.sessions, 'source')}`] : []),
  ]
  return html`<section><h2>Totals</h2>
${
  seen.length === 0
    ? html`<p>No attempt at a port of a service came in.</p>`
    : table(
        'Attempts at each service; in shadow mode, what would have been refused was accepted',
        ['Service', 'Mode', '>Attempts', '>Accepted', '>Refused', '>Dropped by bans', '>On the allow list'],
        seen.map((row) => [
          row.service,
          row.mode,
          ...[row.attempts, row.accepted, row.refused, row.banned, row.allowed].map(grouped),
        ]),
      )
}
${others.length === 0 ? '' : html`<p>Refused by no limit of a service (docs/reasons.md): ${others.join(', ')}.</p>`}
<p>${counted(banned.length + leftOut.bans, 'ban')}.${
    missing.length === 0 ? '' : ` Not told one by one, to keep memory bounded: ${missing.join(', ')}.`
  }</p>
${unsolicitedAnswers === 0 ? '' : html`<p>${unsolicitedText(policy)}</p>`}</section>`
}
