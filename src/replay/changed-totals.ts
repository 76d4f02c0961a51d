import { grouped } from '../grouped.ts'
import type { PolicySummary } from './summary.ts'

/**
 * Each service of either policy that was asked for: what was accepted, refused and dropped by bans, before and
 * after, as text.
 */
export function changedTotals(before: PolicySummary, after: PolicySummary): string[][] {
  const names = [...new Set([...before.services, ...after.services].map(({ service }) => service))]
  const rows = names.flatMap((name) => {
    const pair = [before, after].map(({ services }) => services.find(({ service }) => service === name))
    if (pair.every((row) => (row?.attempts ?? 0) === 0)) return []
    const change = (field: 'accepted' | 'refused' | 'banned') =>
      pair.map((row) => (row === undefined ? '-' : grouped(row[field]))).join(' -> ')
    return [[name, change('accepted'), change('refused'), change('banned')]]
  })
  const answers = [before, after].map(({ unsolicitedAnswers }) => grouped(unsolicitedAnswers))
  if (answers[0] !== answers[1]) rows.push(['unsolicited answers', '', answers.join(' -> '), ''])
  return rows
}
