import { droppedBy } from '../runner/arena.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { cpuByThread, cpuSince } from '../runner/cpu.ts'
import {
  hashlimitLimiter,
  type Limiter,
  noLimiter,
  rawHashlimitLimiter,
  sluiceLimiter,
} from '../runner/limiters.ts'
import { type BenchPolicy, GENEROUS, service } from '../runner/policy.ts'
import type { Stage } from '../runner/stage.ts'

const POLICY: BenchPolicy = { services: { ssh: service(['22/tcp'], GENEROUS) }, maxEntries: 1_048_576 }

export const banned: Bench = {
  name: 'banned',
  question: 'what does a flood from banned sources cost?',
  metrics: {
    droppedPerSecond: { unit: 'k/s', unitSize: 1000 },
    daemonCpu: { unit: '%', unitSize: 0.01, isCost: true },
  },
  targets: [
    {
      metric: 'droppedPerSecond',
      of: { contestant: 'sluice' },
      over: { contestant: 'xt_hashlimit' },
      atLeast: 1,
    },
    { metric: 'droppedPerSecond', of: { contestant: 'sluice' }, over: { contestant: 'xt_hashlimit in raw' } },
    { metric: 'daemonCpu', of: { contestant: 'sluice' }, atMost: 0.01 },
  ],
  async *cases(stage: Stage): AsyncGenerator<Case> {
    for (const bans of [1, 65_536, 1_000_000]) {
      const limiters = [
        await sluiceWithBans(stage, bans),
        hashlimitLimiter(stage),
        rawHashlimitLimiter(stage),
        noLimiter(stage),
      ]
      yield {
        name: `${bans.toLocaleString('en-US')} ${bans === 1 ? 'ban' : 'bans'}`,
        contestants: new Map(
          limiters.map((each) => [each.name, () => floodBanned(each, bans, stage.seconds)]),
        ),
      }
    }
  },
}

/** The daemon, which finds the bans in the kernel when it starts, as after a restart. */
function sluiceWithBans(stage: Stage, bans: number): Promise<Limiter> {
  return sluiceLimiter(stage, POLICY, ({ server }) => {
    server.run(process.execPath, stage.script('fill-bans.mjs'), 'sluice-ban-all-4', `${bans}`)
  })
}

async function floodBanned({ arena, pid }: Limiter, bans: number, seconds: number): Promise<Figures> {
  const cpuBefore = pid === undefined ? undefined : cpuByThread(pid)
  const droppedBefore = droppedBy(arena.server, 'raw', 'DROP')
  const sent = await arena.flood({ sources: bans, seconds })
  if (pid === undefined) return { droppedPerSecond: sent.perSecond }
  const dropped = droppedBy(arena.server, 'raw', 'DROP') - droppedBefore
  if (dropped !== sent.packets)
    throw new Error(`${dropped} of ${sent.packets} packets were dropped by the ban`)
  return { droppedPerSecond: dropped / sent.seconds, daemonCpu: cpuSince(cpuBefore!, pid).all / sent.seconds }
}
