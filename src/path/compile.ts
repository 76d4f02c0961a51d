import type { Limit, Policy, Protocol } from '../config/policy.ts'
import { NO_SERVICE, type ServiceSlots } from './service-slots.ts'

/** Limits of a service for strangers, in the order in which the path asks them. */
export const LIMIT_KINDS = ['source', 'network', 'total'] as const
export type LimitKind = (typeof LIMIT_KINDS)[number]

/** Limits of a slot in `CompiledPolicy`: those for strangers, and at `KNOWN_LIMIT` the one of known good sources. */
export const LIMITS_PER_SLOT = LIMIT_KINDS.length + 1
export const SOURCE_LIMIT = 0
export const NETWORK_LIMIT = 1
export const TOTAL_LIMIT = 2
export const KNOWN_LIMIT = LIMIT_KINDS.length

/** The limits of DNS queries lie behind those of the services, as if they were three more of them. */
export const DnsSet = { reverse: NO_SERVICE, malformed: NO_SERVICE + 1, sweep: NO_SERVICE + 2 } as const
export const LIMIT_SETS = NO_SERVICE + 3

/**
 * A policy as the path reads it: plain arrays, indexed by service slot, that can be posted to a worker
 * thread. `intervalMs` and `toleranceMs` hold `LIMITS_PER_SLOT` numbers a slot, and then those of `DnsSet`; an
 * interval of 0 means that there is no such limit.
 */
export interface CompiledPolicy {
  /** Service slot for each of the 65,536 ports, or `NO_SERVICE`. */
  readonly tcpPorts: Uint8Array
  readonly udpPorts: Uint8Array
  /** Time in which one token grows: 1000 / rate. */
  readonly intervalMs: Float64Array
  /** How far ahead of the clock a bucket may be filled up: (burst - 1) x interval. */
  readonly toleranceMs: Float64Array
  /** 1 where a refusal is reported but not carried out; one more entry for `NO_SERVICE`. */
  readonly isShadow: Uint8Array
  /** Strikes that make an offender; 0: nobody is promoted. */
  readonly strikes: Uint8Array
  readonly strikeWindowSeconds: Float64Array
  /** 1 where sessions are judged; one more entry for `NO_SERVICE`. */
  readonly isJudged: Uint8Array
  /** 1 where datagrams are DNS queries. */
  readonly isDns: Uint8Array
  /** 0: no sweep is looked for. */
  readonly sweepNames: number
  readonly sweepPartial: number
  readonly sweepWithinMs: number
  /** 0: no flood is looked for. */
  readonly floodFactor: number
  readonly floodCalmMs: number
  /** Of this thread's share. */
  readonly usualPerSecond: number
  /** One in so many refused queries is answered with TC=1; 0: none. */
  readonly slip: number
  /** At most one answer in this time, on average. */
  readonly slipIntervalMs: number
  /** How many times its limit a source must be refused to be held; 0: nobody is held. */
  readonly holdFactor: number
  /** Packets that come in full batches, one after the other, out of a queue that is filling. */
  readonly holdAbove: number
}

/**
 * Compiles `policy` for one of its path threads. Source and network limits hold in full on each thread,
 * since the kernel always sends a network to the same one; the total is divided among them.
 */
export function compilePolicy(policy: Policy, slots: ServiceSlots): CompiledPolicy {
  slots.update(policy.services.map((service) => service.name))
  const { sweep, flood } = policy.dns
  const compiled: CompiledPolicy = {
    tcpPorts: new Uint8Array(65_536).fill(NO_SERVICE),
    udpPorts: new Uint8Array(65_536).fill(NO_SERVICE),
    intervalMs: new Float64Array(LIMIT_SETS * LIMITS_PER_SLOT),
    toleranceMs: new Float64Array(LIMIT_SETS * LIMITS_PER_SLOT),
    isShadow: new Uint8Array(NO_SERVICE + 1),
    strikes: new Uint8Array(NO_SERVICE),
    strikeWindowSeconds: new Float64Array(NO_SERVICE),
    isJudged: new Uint8Array(NO_SERVICE + 1),
    isDns: new Uint8Array(NO_SERVICE + 1),
    sweepNames: sweep?.names ?? 0,
    sweepPartial: sweep?.partial ?? 0,
    sweepWithinMs: sweep?.withinMs ?? 0,
    floodFactor: flood?.factor ?? 0,
    floodCalmMs: flood?.calmMs ?? 0,
    usualPerSecond: (flood?.usualPerSecond ?? 0) / policy.threads,
    slip: policy.dns.slip,
    slipIntervalMs: (1000 * policy.threads) / policy.dns.slipPerSecond,
    holdFactor: policy.holds?.factor ?? 0,
    holdAbove: (policy.holds?.above ?? 0) * policy.queue.length,
  }
  compiled.isShadow[NO_SERVICE] = policy.mode === 'shadow' ? 1 : 0
  for (const service of policy.services) {
    const slot = slots.slotOf(service.name)
    for (const { protocol, first, last } of service.ports)
      portTable(compiled, protocol).fill(slot, first, last + 1)
    setLimits(compiled, slot, service.limits, policy.threads)
    setLimit(compiled, slot * LIMITS_PER_SLOT + KNOWN_LIMIT, service.limits.known, 1)
    compiled.isJudged[slot] = service.outcome === undefined ? 0 : 1
    compiled.isDns[slot] = service.dns ? 1 : 0
    compiled.isShadow[slot] = policy.mode === 'shadow' || service.mode === 'shadow' ? 1 : 0
    compiled.strikes[slot] = service.ban?.strikes ?? 0
    compiled.strikeWindowSeconds[slot] = (service.ban?.withinMs ?? 0) / 1000
  }
  setLimits(compiled, DnsSet.reverse, policy.dns.reverse, policy.threads)
  setLimits(compiled, DnsSet.malformed, policy.dns.malformed, policy.threads)
  if (sweep !== undefined) setLimits(compiled, DnsSet.sweep, sweep, policy.threads)
  return compiled
}

function portTable(compiled: CompiledPolicy, protocol: Protocol): Uint8Array {
  return protocol === 'tcp' ? compiled.tcpPorts : compiled.udpPorts
}

type LimitsByKind = { readonly [kind in LimitKind]?: Limit | undefined }

function setLimits(compiled: CompiledPolicy, set: number, limits: LimitsByKind, threads: number): void {
  for (const [i, kind] of LIMIT_KINDS.entries()) {
    setLimit(compiled, set * LIMITS_PER_SLOT + i, limits[kind], kind === 'total' ? threads : 1)
  }
}

function setLimit(compiled: CompiledPolicy, at: number, limit: Limit | undefined, share: number): void {
  if (limit === undefined) return
  const intervalMs = (1000 * share) / limit.ratePerSecond
  compiled.intervalMs[at] = intervalMs
  compiled.toleranceMs[at] = (Math.max(1, limit.burst / share) - 1) * intervalMs
}
