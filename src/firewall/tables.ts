import { CHAINS, TABLES, type Table } from './names.ts'
import type { FamilyRules } from './rules.ts'

/** What iptables-save shows of us in one table. */
export interface LiveTable {
  /** The rules of our chain; `undefined`: there is no such chain. */
  readonly rules: readonly LiveRule[] | undefined
  /** Rules of other chains that lead into ours, as `CHAIN REST`. */
  readonly jumps: readonly string[]
  /** Whether the first rule of PREROUTING is the jump. */
  readonly jumpIsFirst: boolean
}

interface LiveRule {
  /** As in `FamilyRules`. */
  readonly text: string
  readonly packets: number
}

export type LiveFamily = Readonly<Record<Table, LiveTable>>

/** Reads the output of `iptables-save -c -t TABLE`. */
export function parseSave(table: Table, output: string): LiveTable {
  const own = CHAINS[table]
  const leadsToUs = new RegExp(` -[jg] ${own}$`)
  const lines = output.split('\n')
  const rules = lines.flatMap((line) => {
    const [, packets, chain, text] = /^\[(\d+):\d+\] -A (\S+) ?(.*)$/.exec(line) ?? []
    return chain === undefined || text === undefined ? [] : [{ chain, text, packets: Number(packets) }]
  })
  return {
    rules: lines.some((line) => line.startsWith(`:${own} `))
      ? rules.filter(({ chain }) => chain === own).map(({ text, packets }) => ({ text, packets }))
      : undefined,
    jumps: rules
      .filter(({ chain, text }) => chain !== own && leadsToUs.test(` ${text}`))
      .map(({ chain, text }) => `${chain} ${text}`),
    jumpIsFirst: rules.find(({ chain }) => chain === 'PREROUTING')?.text === `-j ${own}`,
  }
}

/**
 * Input for `iptables-restore --noflush` that turns `live` into `wanted`: in a table that `wanted` names,
 * our chain with exactly those rules and one jump to it, the first of PREROUTING; in the others nothing of
 * ours. Both back ends commit each table at once, so no packet ever meets half of it.
 */
export function restoreInput(live: LiveFamily, wanted: Partial<FamilyRules>): string {
  return TABLES.map((table) => {
    const lines = tableLines(table, live[table], wanted[table])
    return [`*${table}`, ...lines, 'COMMIT', ''].join('\n')
  }).join('')
}

function tableLines(table: Table, live: LiveTable, wanted: readonly string[] | undefined): string[] {
  const own = CHAINS[table]
  const deletions = live.jumps.map((jump) => `-D ${jump}`)
  if (wanted === undefined) {
    return live.rules === undefined ? deletions : [...deletions, `-F ${own}`, `-X ${own}`]
  }
  return [
    // Declaring the chain creates it, or empties the one that is there.
    `:${own} - [0:0]`,
    ...deletions,
    ...wanted.map((rule) => `-A ${own} ${rule}`),
    `-I PREROUTING 1 -j ${own}`,
  ]
}

/** A host that has nothing of ours yet. */
export const NOTHING_LIVE: LiveFamily = {
  raw: { rules: undefined, jumps: [], jumpIsFirst: false },
  mangle: { rules: undefined, jumps: [], jumpIsFirst: false },
}

/** The rules that are live, for putting them back. */
export function rulesOf(live: LiveFamily): Partial<FamilyRules> {
  const present = TABLES.flatMap((table) => {
    const rules = live[table].rules
    return rules === undefined ? [] : [[table, rules.map(({ text }) => text)]]
  })
  return Object.fromEntries(present)
}

/** What differs between `live` and what should be there, in words; empty when all is in place. */
export function damage(live: LiveFamily, expected: FamilyRules): string[] {
  return TABLES.flatMap((table) => tableDamage(table, live[table], expected[table]))
}

function tableDamage(table: Table, live: LiveTable, expected: readonly string[]): string[] {
  const own = CHAINS[table]
  if (live.rules === undefined) return [`chain ${own} is missing in ${table}`]
  const problems = []
  if (live.rules.length === 0) problems.push(`chain ${own} in ${table} is empty`)
  else if (live.rules.map(({ text }) => text).join('\n') !== expected.join('\n')) {
    problems.push(`the rules of chain ${own} in ${table} were changed`)
  }
  if (live.jumps.length === 0) problems.push(`nothing jumps to chain ${own} in ${table}`)
  else if (!live.jumpIsFirst)
    problems.push(`the jump to chain ${own} is not the first rule of ${table} PREROUTING`)
  else if (live.jumps.length > 1) problems.push(`more than one rule jumps to chain ${own} in ${table}`)
  return problems
}
