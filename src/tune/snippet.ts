import { type Limit, type Service, speaksDns } from '../config/policy.ts'
import { formatDuration, formatPorts, formatRate } from '../config/values.ts'
import { counted } from '../control/counted.ts'
import { roughDuration } from '../control/rough-duration.ts'
import { MARGINS } from './demands.ts'
import { widened } from './ladders.ts'
import type { LimitProposal } from './propose.ts'
import { formatShare } from './share.ts'
import type { TunedService, Tuning } from './tune.ts'

/**
 * The services that limits are proposed for, as a policy file: `sluice check` accepts it, and each of its
 * sections can take the place of the same one in another policy.
 *
 * @returns `null` when nothing is proposed.
 */
export function policySnippet({ honest, services }: Tuning, share: number): string | null {
  const tuned = services.filter(({ best }) => best !== undefined)
  if (tuned.length === 0) return null
  const packets = honest.files.reduce((sum, file) => sum + file.packets, 0)
  return [
    '# Proposed by sluice tune, from honest traffic:',
    `# ${counted(packets, 'packet')} in ${roughDuration(honest.elapsedMs)}, ${formatShare(share)} of the sources of each service.`,
    'services:',
    ...tuned.flatMap(serviceLines),
    '',
  ].join('\n')
}

function serviceLines({ service, limits, curve }: TunedService): string[] {
  const { name, ports, mode, dns, ban, failures, outcome } = service
  return [
    `  ${name}:`,
    `    ports: [${ports.map(formatPorts).join(', ')}]`,
    ...(mode === 'shadow' ? ['    mode: shadow'] : []),
    // Where it is not what the ports say by themselves.
    ...(dns === speaksDns({ ports }) ? [] : [`    dns: ${dns}`]),
    '    limits:',
    ...limits.flatMap((proposal) => limitLine(proposal, curve.covered)),
    ...knownLine(service.limits.known, limits),
    ...(ban === undefined ? [] : [banLine(ban)]),
    ...(failures === undefined ? [] : [failuresLine(failures)]),
    ...(outcome === undefined ? [] : [`    outcome: ${outcome.kind}`]),
  ]
}

function limitLine({ kind, limit, basis }: LimitProposal, sources: number): string[] {
  if (limit === undefined) return []
  const whose = kind === 'source' ? counted(sources, 'honest source') : 'honest traffic'
  const why =
    basis === 'measured' ? `at least ${MARGINS[kind]} times what ${whose} needed` : UNMEASURED[basis]
  return [`      ${kind}: ${formatLimit(limit)}  # ${why}`]
}

/** Not measured: a capture says who comes often, not who belongs. */
function knownLine(known: Limit | undefined, proposals: readonly LimitProposal[]): string[] {
  if (known === undefined) return []
  const source = proposals.find(({ kind }) => kind === 'source')?.limit
  const limit = source === undefined ? known : widened(known, source, 1)
  const why = limit === known ? UNMEASURED.kept : 'raised, to be no less than source'
  return [`      known: ${formatLimit(limit)}  # ${why}`]
}

const UNMEASURED = {
  kept: 'as before',
  raised: 'raised for honest traffic, or three of the limit above',
  none: '',
}

function formatLimit({ burst, ratePerSecond }: Limit): string {
  return `{burst: ${burst}, rate: ${formatRate(ratePerSecond)}}`
}

function banLine({ strikes, withinMs }: NonNullable<Service['ban']>): string {
  return `    ban: {strikes: ${strikes}, within: ${formatDuration(withinMs)}}`
}

function failuresLine({ tries, forgetMs }: NonNullable<Service['failures']>): string {
  return `    failures: {tries: ${tries}, forget: ${formatDuration(forgetMs)}}`
}
