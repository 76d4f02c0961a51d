import { existsSync, readFileSync } from 'node:fs'
import type { Backend } from '../config/policy.ts'
import { EXIT, Failure } from '../failure.ts'
import type { Family } from '../net/prefix.ts'
import { explainFailure } from './explain-failure.ts'
import { TABLES, type Table } from './names.ts'
import type { FamilyRules } from './rules.ts'
import { runTool, ToolError } from './run-tool.ts'
import { type LiveFamily, parseSave, restoreInput, rulesOf } from './tables.ts'

export type BackendKind = Exclude<Backend, 'auto'>

/** One family's iptables: `command` is "iptables", "ip6tables-legacy" and so on. */
export interface Iptables {
  readonly family: Family
  readonly kind: BackendKind
  readonly command: string
}

/** IPv6 is left out where the kernel has none (`ipv6.disable=1`): ip6tables cannot work there, and need not. */
function hostFamilies(): Family[] {
  return existsSync('/proc/net/if_inet6') ? [4, 6] : [4]
}

/**
 * The iptables of each family of this host. `auto` is what the host's own `iptables` command is, so that
 * our rules stand where the administrator's other tools look for theirs.
 *
 * @throws Failure (unavailable) when it is not installed.
 */
export function findIptables(backend: Backend): Promise<Iptables[]> {
  return Promise.all(
    hostFamilies().map(async (family) => {
      const found = await lookFor(backend, family)
      if (found !== undefined) return found
      const missing = candidates(backend, family).join(', ')
      throw new Failure(
        EXIT.unavailable,
        `no iptables for IPv${family}${backend === 'auto' ? '' : ` with back end "${backend}"`}: none of ${missing} is installed`,
        'apt-get install iptables',
      )
    }),
  )
}

/**
 * Every iptables whose tables may hold something on this host, of either kind. Never touches a table that
 * is not in use: iptables-legacy would bring it into being by looking.
 */
export async function findIptablesInUse(): Promise<Iptables[]> {
  const found = await Promise.all(
    hostFamilies().flatMap((family) => [
      lookFor('nft', family),
      ...(hasLegacyTables(family) ? [lookFor('legacy', family)] : []),
    ]),
  )
  return found.filter((each) => each !== undefined)
}

/** @throws Failure, as `explainFailure` words it. */
export async function readLive(tool: Iptables): Promise<LiveFamily> {
  const save = (table: Table) => explained(tool, `${tool.command}-save`, ['-c', '-t', table])
  const [raw, mangle] = await Promise.all([save('raw'), save('mangle')])
  return parseSave({ raw, mangle })
}

const ATTEMPTS = 3
const LOCK_WAIT_SECONDS = '5'

/**
 * Replaces whatever there is of ours by `wanted` (see `restoreInput`) and returns what it replaced. When
 * another tool changes the tables between our look and our write, the write fails: look again.
 *
 * @throws Failure, as `explainFailure` words it; then all is as it was before.
 */
export async function replaceRules(tool: Iptables, wanted: Partial<FamilyRules>): Promise<LiveFamily> {
  const before = await readLive(tool)
  let live = before
  for (let attempt = 1; ; attempt++) {
    try {
      await restore(tool, live, wanted)
      return before
    } catch (error) {
      live = await readLive(tool)
      if (attempt < ATTEMPTS) continue
      // Each table is committed on its own: the first may be in place though the second was refused.
      await restore(tool, live, rulesOf(before)).catch(() => {})
      throw error
    }
  }
}

async function restore(tool: Iptables, live: LiveFamily, wanted: Partial<FamilyRules>): Promise<void> {
  const args = ['--noflush', '-w', LOCK_WAIT_SECONDS]
  await explained(tool, `${tool.command}-restore`, args, restoreInput(live, wanted))
}

async function explained(tool: Iptables, command: string, args: string[], input?: string): Promise<string> {
  try {
    return await runTool(command, args, input)
  } catch (error) {
    throw error instanceof ToolError ? explainFailure(error, tool.family, input) : error
  }
}

async function lookFor(backend: Backend, family: Family): Promise<Iptables | undefined> {
  for (const command of candidates(backend, family)) {
    const kind = await kindOf(command)
    if (kind !== undefined && (backend === 'auto' || kind === backend)) return { family, kind, command }
  }
  return undefined
}

/** In the order of preference. A host with one kind only may have it under the bare name, or only with the suffix. */
function candidates(backend: Backend, family: Family): string[] {
  const bare = family === 4 ? 'iptables' : 'ip6tables'
  return backend === 'auto' ? [bare, `${bare}-nft`, `${bare}-legacy`] : [`${bare}-${backend}`, bare]
}

async function kindOf(command: string): Promise<BackendKind | undefined> {
  try {
    // "iptables v1.8.9 (nf_tables)"; before 1.8 there was legacy only, and no word in brackets.
    return (await runTool(command, ['--version'])).includes('nf_tables') ? 'nft' : 'legacy'
  } catch {
    return undefined
  }
}

function hasLegacyTables(family: Family): boolean {
  const file = family === 4 ? '/proc/net/ip_tables_names' : '/proc/net/ip6_tables_names'
  try {
    const names = readFileSync(file, 'utf8').split('\n')
    return TABLES.some((table) => names.includes(table))
  } catch {
    // No iptables-legacy in this kernel, or no permission: whatever is done next will say so.
    return false
  }
}
