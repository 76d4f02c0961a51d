import type { Family } from '../net/prefix.ts'

/** The two tables of iptables that sluice uses; never `filter`, where accepting skips the administrator's rules. */
export type Table = 'raw' | 'mangle'

export const TABLES: readonly Table[] = ['raw', 'mangle']

/** A chain of ours by what comes through it. */
export type Chain = 'raw' | 'mangle' | 'rawOutput' | 'mangleOutput'

interface Place {
  readonly table: Table
  readonly name: string
  /** The built-in chain that jumps to it, first of all. */
  readonly hook: 'PREROUTING' | 'OUTPUT'
}

/** Each is there only while it has rules. */
export const CHAINS: Readonly<Record<Chain, Place>> = {
  raw: { table: 'raw', name: 'SLUICE-BAN', hook: 'PREROUTING' },
  rawOutput: { table: 'raw', name: 'SLUICE-OUT', hook: 'OUTPUT' },
  mangle: { table: 'mangle', name: 'SLUICE', hook: 'PREROUTING' },
  mangleOutput: { table: 'mangle', name: 'SLUICE-OUT', hook: 'OUTPUT' },
}

const CHAIN_NAMES = Object.keys(CHAINS) as Chain[]

/** Our chains, of `table` alone if one is given. */
export function chainsOf(table?: Table): Chain[] {
  return CHAIN_NAMES.filter((chain) => table === undefined || CHAINS[chain].table === table)
}

/**
 * The firewall mark of the answers that sluice itself gives to DNS queries: one bit that Docker, Kubernetes
 * (0x4000, 0x8000), Calico and Tailscale (0xff0000) leave alone.
 */
export const REPLY_MARK = 0x2000000

const ALLOW = 'sluice-allow-'
const BAN = 'sluice-ban-'
const HOLD = 'sluice-hold-'
const FLOOD = 'sluice-flood-'
const SPARED = 'sluice-spared-'

/** The set of sources that the chains of what comes in let through untouched. */
export function allowSetName(family: Family): string {
  return `${ALLOW}${family}`
}

/** The set of sources banned from `scope`: the name of a service, or `all` for every port. */
export function banSetName(scope: string, family: Family): string {
  return `${BAN}${scope}-${family}`
}

/** The set of sources and networks that are held off `service`. */
export function holdSetName(service: string, family: Family): string {
  return `${HOLD}${service}-${family}`
}

/** The set of whose reverse queries are thinned out: of everybody or nobody. */
export function floodSetName(family: Family): string {
  return `${FLOOD}${family}`
}

/** The set of sources that are spared that: they were here before the flood, or were answered during it. */
export function sparedSetName(family: Family): string {
  return `${SPARED}${family}`
}

/** Whether `name` is a set of sluice, of this policy or of any earlier one. */
export function isOwnSet(name: string): boolean {
  return [ALLOW, BAN, HOLD, FLOOD, SPARED].some((prefix) => name.startsWith(prefix))
}

/** Whether the kernel drops what is in the set `name` of ours. */
export function isBlockingSet(name: string): boolean {
  return [BAN, HOLD, FLOOD].some((prefix) => name.startsWith(prefix))
}

/** Whether `name` is one of our ban sets. */
export function isBanSet(name: string): boolean {
  return name.startsWith(BAN)
}
