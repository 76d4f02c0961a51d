import type { Family } from '../net/prefix.ts'

/** The two tables of iptables that sluice uses; never `filter`, where accepting skips the administrator's rules. */
export type Table = 'raw' | 'mangle'

export const TABLES: readonly Table[] = ['raw', 'mangle']

/** Our only chain in each table, jumped to from PREROUTING. */
export const CHAINS: Readonly<Record<Table, string>> = { raw: 'SLUICE-BAN', mangle: 'SLUICE' }

const ALLOW = 'sluice-allow-'
const BAN = 'sluice-ban-'
const HOLD = 'sluice-hold-'

/** The set of sources that both chains let through untouched. */
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

/** Whether `name` is a set of sluice, of this policy or of any earlier one. */
export function isOwnSet(name: string): boolean {
  return [ALLOW, BAN, HOLD].some((prefix) => name.startsWith(prefix))
}

/** Whether `name` is one of our ban sets. */
export function isBanSet(name: string): boolean {
  return name.startsWith(BAN)
}
