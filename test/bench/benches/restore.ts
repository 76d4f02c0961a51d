import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { Sluice } from '../../lib/sluice.ts'
import type { Arena } from '../runner/arena.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { type BenchPolicy, GENEROUS, policyText, service } from '../runner/policy.ts'
import type { Stage } from '../runner/stage.ts'

const SET = 'sluice-ban-all-4'
const POLICY: BenchPolicy = { services: { ssh: service(['22/tcp'], GENEROUS) }, maxEntries: 1_048_576 }

export const restore: Bench = {
  name: 'restore',
  question: 'how long until the bans are back in the kernel, and known, after a start?',
  metrics: { seconds: { unit: 's', isCost: true }, allKnown: { unit: 's', isCost: true } },
  targets: [
    { metric: 'seconds', of: { contestant: 'sluice, by netlink' }, atMost: 1, cases: /^65,000/ },
    { metric: 'seconds', of: { contestant: 'sluice, by netlink' }, atMost: 1000 / 65, cases: /^1,000,000/ },
    { metric: 'seconds', of: { contestant: 'sluice, by netlink' }, over: { contestant: 'ipset restore' } },
    { metric: 'seconds', of: { contestant: 'sluice, from its store' }, atMost: 1, cases: /^65,000/ },
    { metric: 'seconds', of: { contestant: 'start, bans kept' }, over: { contestant: 'start, no bans' } },
  ],
  *cases(stage: Stage): Generator<Case> {
    for (const bans of [65_000, 1_000_000]) {
      const arena = stage.arena()
      const kept = stage.arena()
      kept.server.run(process.execPath, stage.script('fill-bans.mjs'), SET, `${bans}`)
      const file = stage.path('bans.restore')
      writeFileSync(file, restoreFile(bans))
      // A million bans are more than the store is made for.
      const store = bans > 100_000 ? undefined : filledStore(stage, arena, bans)
      yield {
        name: `${bans.toLocaleString('en-US')} bans`,
        ...(bans > 100_000 && { rounds: 3 }),
        contestants: new Map<string, () => Figures | Promise<Figures>>([
          ['sluice, by netlink', () => fill(stage, arena, bans)],
          ...(store === undefined
            ? []
            : [['sluice, from its store', () => fromStore(stage, arena, store, bans)] as const]),
          ['ipset restore', () => ipsetRestore(arena, file)],
          ['start, bans kept', () => start(kept)],
          ['start, no bans', () => start(arena)],
        ]),
      }
    }
  },
}

function fill(stage: Stage, { server }: Arena, bans: number): Figures {
  const nanoseconds = server.run(process.execPath, stage.script('fill-bans.mjs'), SET, `${bans}`)
  server.run('ipset', 'destroy', SET)
  return { seconds: Number(nanoseconds) / 1e9 }
}

/** A directory with a store of `bans` bans and as many offences. */
function filledStore(stage: Stage, { server }: Arena, bans: number): string {
  const directory = stage.path('state')
  mkdirSync(directory)
  server.run(process.execPath, stage.script('restore-store.mjs'), directory, 'fill', `${bans}`)
  server.run('ipset', 'destroy', SET)
  return directory
}

/** From opening the store until the bans are in the kernel; `allKnown`: until the offences are known too. */
function fromStore(stage: Stage, { server }: Arena, filled: string, bans: number): Figures {
  const directory = stage.path('state-used')
  cpSync(filled, directory, { recursive: true })
  const printed = server.run(
    process.execPath,
    stage.script('restore-store.mjs'),
    directory,
    'restore',
    `${bans}`,
  )
  server.run('ipset', 'destroy', SET)
  rmSync(directory, { recursive: true })
  const [seconds = 0, allKnown = 0] = printed.split(' ').map((nanoseconds) => Number(nanoseconds) / 1e9)
  return { seconds, allKnown }
}

function ipsetRestore({ server }: Arena, file: string): Figures {
  const started = performance.now()
  execFileSync('ip', ['netns', 'exec', server.namespace, 'ipset', 'restore', '-file', file])
  const seconds = (performance.now() - started) / 1000
  server.run('ipset', 'destroy', SET)
  return { seconds }
}

function restoreFile(bans: number): string {
  const lines = Array.from(
    { length: bans },
    (_, i) => `add ${SET} 100.${64 + (i >> 16)}.${(i >> 8) & 255}.${i & 255} timeout 86400`,
  )
  return `create ${SET} hash:net family inet maxelem 1048576 timeout 0\n${lines.join('\n')}\n`
}

/** From the start of the process until it says that it is ready. */
async function start({ server }: Arena): Promise<Figures> {
  const started = performance.now()
  const sluice = await Sluice.start(server, policyText(POLICY))
  const seconds = (performance.now() - started) / 1000
  await sluice.stop()
  return { seconds }
}
