import type { Policy } from '../../src/config/policy.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { Engine } from '../../src/replay/engine.ts'
import { Outcome } from '../../src/replay/outcome.ts'
import { replay } from '../../src/replay/replay.ts'
import { renderReport } from '../../src/replay/report/page.ts'
import { Recorder } from '../../src/replay/report/recorder.ts'
import { type Summary, summarize } from '../../src/replay/summary.ts'
import { policy, service } from './policies.ts'
import { type Sent, writeCapture } from './replay.ts'

const MINUTE = 60_000

export const OFFENDER = '203.0.113.66'

export interface Reported {
  readonly page: string
  readonly summary: Summary
  readonly recorder: Recorder
}

export interface ReportOptions {
  readonly against?: Policy
  /** The names that the report has for the policy files. */
  readonly policyFile?: string
  readonly local?: readonly string[]
}

/** The report on `file` under `rules`. */
export async function reportOn(file: string, rules: Policy, options: ReportOptions = {}): Promise<Reported> {
  const { against, policyFile = 'sluice.yaml', local = ['192.0.2.1', '2001:db8::1'] } = options
  const outcome = new Outcome(rules)
  const recorder = new Recorder(outcome)
  const engines = [new Engine(rules, [outcome, recorder])]
  const other = against && new Outcome(against)
  if (other !== undefined) engines.push(new Engine(other.policy, [other]))
  const facts = await replay({ files: [file], engines, local: local.map(parsePrefix) })
  const summary = summarize(
    facts,
    { file: policyFile, outcome },
    other && { file: policyFile, outcome: other },
  )
  return { page: renderReport(summary, recorder), summary, recorder }
}

/** ssh with bans, smtp that only watches, dns; bans are short, so that an offender gets several. */
export function scenePolicy(changes: Partial<Policy> = {}): Policy {
  const ban = { ...policy([]).ban, firstMs: 2 * MINUTE, factor: 2, longestMs: 60 * MINUTE }
  const ssh = service('ssh', 22, {
    limits: {
      source: { burst: 5, ratePerSecond: 1 / 30 },
      network: { burst: 12, ratePerSecond: 1 / 10 },
      total: { burst: 40, ratePerSecond: 1 },
    },
    ban: { strikes: 5, withinMs: 10 * MINUTE },
  })
  const smtp = service('smtp', 25, {
    mode: 'shadow',
    limits: { source: { burst: 3, ratePerSecond: 1 / 60 }, network: undefined, total: undefined },
    ban: { strikes: 8, withinMs: 10 * MINUTE },
  })
  const dns = service('dns', 53, {
    ports: [{ protocol: 'udp', first: 53, last: 53 }],
    limits: { source: { burst: 20, ratePerSecond: 5 }, network: undefined, total: undefined },
  })
  return policy([ssh, smtp, dns, service('pop3', 110)], { ban, ...changes })
}

/** Half an hour with two offenders on ssh, a spammer, a DNS flood, neighbours and honest clients. */
export function writeScene(path: string): string {
  const packets: Sent[] = [
    ...every(5000, 360, { from: OFFENDER, port: 22 }),
    ...every(9000, 60, { from: '198.51.100.9', port: 22, atMs: 4 * MINUTE }),
    ...every(7000, 90, { from: '2001:db8:bad::1', to: '2001:db8::1', port: 22, atMs: 11 * MINUTE }),
    ...every(11_000, 70, { from: '198.51.100.25', port: 25, atMs: 2 * MINUTE }),
    ...every(20, 3000, { from: '203.0.113.53', port: 53, protocol: 'udp', atMs: 16 * MINUTE }),
    ...Array.from({ length: 20 }, (_, i) =>
      every(95_000, 18, { from: `203.0.113.${100 + i}`, port: 22, atMs: i * 3000 }),
    ).flat(),
    ...Array.from({ length: 30 }, (_, i) =>
      every(40_000, 40, { from: `192.0.2.${100 + i}`, port: 53, protocol: 'udp', atMs: i * 777 }),
    ).flat(),
  ]
  return writeCapture(
    path,
    packets.sort((a, b) => a.atMs - b.atMs),
  )
}

/** `count` attempts, one each `ms`. */
function every(ms: number, count: number, fields: Omit<Sent, 'atMs'> & { readonly atMs?: number }): Sent[] {
  const startMs = fields.atMs ?? 0
  return Array.from({ length: count }, (_, i) => ({
    sourcePort: 10_000 + i,
    ...fields,
    atMs: startMs + i * ms,
  }))
}
