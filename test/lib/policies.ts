import type { DnsLimits, DnsPolicy, Policy, Service } from '../../src/config/policy.ts'

/** A service on `port`/tcp without any limit; `changes` says what matters to the test. */
export function service(name: string, port: number, changes: Partial<Service> = {}): Service {
  return {
    name,
    ports: [{ protocol: 'tcp', first: port, last: port }],
    mode: 'enforce',
    dns: false,
    limits: { source: undefined, network: undefined, total: undefined },
    ban: undefined,
    failures: undefined,
    outcome: undefined,
    ...changes,
  }
}

/** A policy of `services` and otherwise ordinary values, but that nobody has to prove his address. */
export function policy(
  services: readonly Service[],
  { dns, ...changes }: Omit<Partial<Policy>, 'dns'> & { readonly dns?: Partial<DnsPolicy> } = {},
): Policy {
  return {
    mode: 'enforce',
    threads: 1,
    sources: 1024,
    queue: { first: 9713, length: 65_535, copyBytes: 256, failOpen: true, socketBufferBytes: 8 << 20 },
    services,
    ban: {
      firstMs: 600_000,
      factor: 4,
      longestMs: 2_000_000_000,
      memoryMs: 2_592_000_000,
      allPortsFrom: 3,
      jitter: 0.1,
      maxEntries: 65_536,
      proof: 'none',
      proofWindowMs: 600_000,
    },
    dns: {
      reverse: dnsLimits(1_000_000),
      malformed: dnsLimits(1_000_000),
      sweep: undefined,
      flood: undefined,
      slip: 0,
      slipPerSecond: 1000,
      notrack: false,
      unsolicited: undefined,
      induced: undefined,
      ...dns,
    },
    holds: { above: 0.25, factor: 20 },
    trust: { firstMs: 3_600_000, factor: 4, longestMs: 2_592_000_000, maxEntries: 1024 },
    networks: { sources: 8, memoryMs: 21_600_000 },
    allow: [],
    firewall: { backend: 'auto', checkMs: 2000 },
    metrics: undefined,
    state: undefined,
    control: { socket: '/run/sluice/control.sock', group: 'sluice' },
    log: { level: 'info', format: 'json' },
    ...changes,
  }
}

/** The same for a source, its network and all together: `burst` at once, and so many a second. */
export function dnsLimits(burst: number): DnsLimits {
  const limit = { burst, ratePerSecond: burst }
  return { source: limit, network: limit, total: limit }
}
