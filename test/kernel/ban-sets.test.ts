import { afterAll, beforeAll } from 'vitest'
import type { BanSets } from '../../src/control/bans/ban-sets.ts'
import { banSetsContract, CONTRACT_ENTRIES } from '../lib/ban-sets-contract.ts'
import { type Host, Lab } from '../lib/lab.ts'

const AGENT = new URL('ban-sets-agent.mjs', import.meta.url).pathname
const SETS = { 'sluice-ban-one-4': 4, 'sluice-ban-two-6': 6 } as const

let lab: Lab
let host: Host

beforeAll(() => {
  lab = Lab.create(['one'])
  host = lab.host('one')
  for (const [name, family] of Object.entries(SETS)) {
    call('create', name, { family, maxEntries: CONTRACT_ENTRIES })
  }
})

afterAll(() => lab?.close())

/** One operation on the sets of the namespace, by a process of its own in there. */
function call(...request: unknown[]) {
  const output = host.run(process.execPath, AGENT, JSON.stringify(request, flatten))
  return JSON.parse(output, revive)
}

function flatten(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? { bytes: [...value] } : value
}

function revive(_: string, value: { bytes?: unknown } | null): unknown {
  const isBytes = Array.isArray(value?.bytes) && Object.keys(value ?? {}).length === 1
  return isBytes ? Uint8Array.from(value?.bytes as number[]) : value
}

const kernelSets: BanSets = {
  add: (set, entries) => call('add', set, entries),
  delete: (set, prefixes) => call('delete', set, prefixes),
  list: (set) => call('list', set),
}

banSetsContract(async () => {
  for (const name of Object.keys(SETS)) call('flush', name)
  return { sets: kernelSets, pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)) }
})
