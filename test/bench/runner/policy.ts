/** What of the shipped policy's form a bench sets; the rest has its default. */
export interface BenchPolicy {
  readonly services: Readonly<Record<string, BenchService>>
  readonly sources?: number
  readonly threads?: number
  readonly queueLength?: number
  readonly failOpen?: boolean
  readonly maxEntries?: number
  /** The section `dns` as the file has it. */
  readonly dns?: object
  /** Off by default: most benches are of floods in the queue. */
  readonly holds?: { readonly above: number; readonly factor: number }
}

export interface BenchService {
  readonly dns?: boolean
  readonly ports: readonly string[]
  readonly limits: Readonly<Partial<Record<'source' | 'network' | 'total', BenchLimit>>>
  readonly ban?: { readonly strikes: number; readonly within: string }
}

export interface BenchLimit {
  readonly burst: number
  readonly rate: string
}

/** So much that nobody is refused. */
export const GENEROUS: BenchLimit = { burst: 1_000_000, rate: '1000000/s' }

/** One attempt, and no other for a day. */
export const ONCE: BenchLimit = { burst: 1, rate: '1/d' }

/** A service with the same limit for all three kinds. */
export function service(ports: readonly string[], limit: BenchLimit): BenchService {
  return { ports, limits: { source: limit, network: GENEROUS, total: GENEROUS } }
}

/** The text of a policy file. The daemon looks after its firewall once a minute: no figure is of that. */
export function policyText(policy: BenchPolicy): string {
  const { services, sources = 262_144, threads = 1, queueLength = 8192, failOpen = true } = policy
  const sections = {
    services,
    sources,
    threads,
    queue: { length: queueLength, failOpen },
    holds: policy.holds ?? 'off',
    ...(policy.dns && { dns: policy.dns }),
    ban: { maxEntries: policy.maxEntries ?? 65_536 },
    firewall: { check: '1m' },
    log: { level: 'warn' },
  }
  return Object.entries(sections)
    .map(([name, value]) => `${name}: ${JSON.stringify(value)}\n`)
    .join('')
}
