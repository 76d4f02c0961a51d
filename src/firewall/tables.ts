import { CHAINS, type Chain, chainsOf, TABLES, type Table } from './names.ts'
import type { FamilyRules } from './rules.ts'

/** What iptables-save shows of one chain of ours. */
interface LiveChain {
  /** Its rules; `undefined`: there is no such chain. */
  readonly rules: readonly LiveRule[] | undefined
  /** Rules of other chains that lead into it, as `CHAIN REST`. */
  readonly jumps: readonly string[]
  /** Whether the jump is the first rule of the built-in chain that it belongs to. */
  readonly jumpIsFirst: boolean
  /** Whether rules of others say how conntrack is to treat packets: those of ours would come before them. */
  readonly hasForeignTracking: boolean
}

interface LiveRule {
  /** As in `FamilyRules`. */
  readonly text: string
  readonly packets: number
}

export type LiveFamily = Readonly<Record<Chain, LiveChain>>

const ABSENT: LiveChain = {
  rules: undefined,
  jumps: [],
  jumpIsFirst: false,
  hasForeignTracking: false,
}

/** A host that has nothing of ours yet. */
export const NOTHING_LIVE: LiveFamily = {
  raw: ABSENT,
  rawOutput: ABSENT,
  mangle: ABSENT,
  mangleOutput: ABSENT,
}

/** Reads what `iptables-save -c -t TABLE` has printed of each table. */
export function parseSave(outputs: Partial<Record<Table, string>>): LiveFamily {
  const live = TABLES.map((table) => parseTable(table, outputs[table] ?? ''))
  return Object.assign({ ...NOTHING_LIVE }, ...live)
}

function parseTable(table: Table, output: string): Partial<LiveFamily> {
  const lines = output.split('\n')
  const rules = lines.flatMap((line) => {
    const [, packets, chain, text] = /^\[(\d+):\d+\] -A (\S+) ?(.*)$/.exec(line) ?? []
    return chain === undefined || text === undefined ? [] : [{ chain, text, packets: Number(packets) }]
  })
  const ours = chainsOf().map((each) => CHAINS[each].name)
  const hasForeignTracking = rules.some(
    ({ chain, text }) => ![...ours, 'OUTPUT'].includes(chain) && / -j (CT|NOTRACK)( |$)/.test(` ${text}`),
  )
  const live = (each: Chain): LiveChain => {
    const { name: own, hook } = CHAINS[each]
    const leadsToUs = new RegExp(` -[jg] ${own}$`)
    return {
      rules: lines.some((line) => line.startsWith(`:${own} `))
        ? rules.filter(({ chain }) => chain === own).map(({ text, packets }) => ({ text, packets }))
        : undefined,
      jumps: rules
        .filter(({ chain, text }) => chain !== own && leadsToUs.test(` ${text}`))
        .map(({ chain, text }) => `${chain} ${text}`),
      jumpIsFirst: rules.find(({ chain }) => chain === hook)?.text === `-j ${own}`,
      hasForeignTracking,
    }
  }
  return Object.fromEntries(chainsOf(table).map((chain) => [chain, live(chain)]))
}

/**
 * Input for `iptables-restore --noflush` that turns `live` into `wanted`: each of our chains that has rules in
 * `wanted` with exactly those and one jump to it, the first of its built-in chain; of the others nothing.
 * Both back ends commit each table at once, so no packet ever meets half of it.
 */
export function restoreInput(live: LiveFamily, wanted: Partial<FamilyRules>): string {
  return TABLES.map((table) => {
    const lines = chainsOf(table).flatMap((chain) => chainLines(chain, live[chain], wanted[chain] ?? []))
    return [`*${table}`, ...lines, 'COMMIT', ''].join('\n')
  }).join('')
}

function chainLines(chain: Chain, live: LiveChain, wanted: readonly string[]): string[] {
  const { name: own, hook } = CHAINS[chain]
  const deletions = live.jumps.map((jump) => `-D ${jump}`)
  if (wanted.length === 0) {
    return live.rules === undefined ? deletions : [...deletions, `-F ${own}`, `-X ${own}`]
  }
  return [
    // Declaring the chain creates it, or empties the one that is there.
    `:${own} - [0:0]`,
    ...deletions,
    ...wanted.map((rule) => `-A ${own} ${rule}`),
    `-I ${hook} 1 -j ${own}`,
  ]
}

/** The rules that are live, for putting them back. */
export function rulesOf(live: LiveFamily): Partial<FamilyRules> {
  const present = chainsOf().flatMap((chain) => {
    const rules = live[chain].rules
    return rules === undefined ? [] : [[chain, rules.map(({ text }) => text)]]
  })
  return Object.fromEntries(present)
}

/** What differs between `live` and what should be there, in words; empty when all is in place. */
export function damage(live: LiveFamily, expected: FamilyRules): string[] {
  return chainsOf().flatMap((chain) => chainDamage(chain, live[chain], expected[chain]))
}

function chainDamage(chain: Chain, live: LiveChain, expected: readonly string[]): string[] {
  const { table, name: own, hook } = CHAINS[chain]
  if (expected.length === 0) {
    return live.rules === undefined ? [] : [`chain ${own} is in ${table}, where nothing asks for it`]
  }
  if (live.rules === undefined) return [`chain ${own} is missing in ${table}`]
  const problems = []
  if (live.rules.length === 0) problems.push(`chain ${own} in ${table} is empty`)
  else if (live.rules.map(({ text }) => text).join('\n') !== expected.join('\n')) {
    problems.push(`the rules of chain ${own} in ${table} were changed`)
  }
  if (live.jumps.length === 0) problems.push(`nothing jumps to chain ${own} in ${table}`)
  else if (!live.jumpIsFirst)
    problems.push(`the jump to chain ${own} is not the first rule of ${table} ${hook}`)
  else if (live.jumps.length > 1) problems.push(`more than one rule jumps to chain ${own} in ${table}`)
  return problems
}
