import { queueState } from '../runner/arena.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { cpuByThread, cpuSince } from '../runner/cpu.ts'
import {
  hashlimitLimiter,
  type Limiter,
  loopLimiter,
  nfqueueLimiter,
  noLimiter,
  sluiceLimiter,
} from '../runner/limiters.ts'
import { type BenchPolicy, GENEROUS } from '../runner/policy.ts'
import type { Stage } from '../runner/stage.ts'

/** The shipped limits of SSH, without the ban that would take the flood out of the queue. */
const POLICY: BenchPolicy = {
  services: {
    ssh: {
      ports: ['22/tcp'],
      limits: {
        source: { burst: 20, rate: '4/min' },
        network: { burst: 60, rate: '20/min' },
        total: GENEROUS,
      },
    },
  },
  sources: 1_048_576,
}

export const flood: Bench = {
  name: 'flood',
  question: 'how many SYNs a second are answered while more come than anybody can answer?',
  metrics: {
    answeredPerSecond: { unit: 'k/s', unitSize: 1000 },
    answeredPerCpuSecond: { unit: 'k/s', unitSize: 1000 },
    unansweredShare: { unit: '%', unitSize: 0.01, isCost: true },
    sentPerSecond: { unit: 'k/s', unitSize: 1000 },
    pathCpu: { unit: '%', unitSize: 0.01, isCost: true },
    controlCpu: { unit: '%', unitSize: 0.01, isCost: true },
  },
  targets: [
    {
      metric: 'answeredPerSecond',
      of: { contestant: 'sluice' },
      over: { contestant: 'C, batches' },
      atLeast: 0.95,
    },
    {
      metric: 'answeredPerSecond',
      of: { contestant: 'sluice' },
      over: { contestant: 'nfqueue (npm)' },
      atLeast: 4,
    },
    // What a core could carry that has nothing else to do, where the sender is the limit.
    {
      metric: 'answeredPerCpuSecond',
      of: { contestant: 'sluice' },
      over: { contestant: 'nfqueue (npm)' },
    },
    { metric: 'answeredPerSecond', of: { contestant: 'sluice' }, over: { contestant: 'xt_hashlimit' } },
  ],
  async *cases(stage: Stage): AsyncGenerator<Case> {
    for (const sources of [1, 1000, 1_000_000]) {
      const limiters = [
        await sluiceLimiter(stage, POLICY),
        await loopLimiter(stage, POLICY, 'batch'),
        await loopLimiter(stage, POLICY, 'single'),
        ...(await nfqueueLimiter(stage, POLICY)),
        hashlimitLimiter(stage),
        noLimiter(stage),
      ]
      yield {
        name: sources === 1 ? '1 source' : `${sources.toLocaleString('en-US')} sources`,
        contestants: new Map(
          limiters.map((each) => [each.name, () => floodOnce(each, sources, stage.seconds)]),
        ),
      }
    }
  },
}

async function floodOnce(
  { arena, pid, sluice }: Limiter,
  sources: number,
  seconds: number,
): Promise<Figures> {
  if (pid === undefined) {
    // The kernel handles each packet before the sender's call returns.
    const { perSecond } = await arena.flood({ sources, seconds })
    return { answeredPerSecond: perSecond, unansweredShare: 0, sentPerSecond: perSecond }
  }
  const before = queueState(pid)
  const cpuBefore = cpuByThread(pid)
  const sent = await arena.flood({ sources, seconds })
  const after = queueState(pid)
  const { busiest, all } = cpuSince(cpuBefore, pid)
  const answered = after.delivered - after.waiting - before.delivered
  const path = sluice === undefined ? all : busiest
  return {
    answeredPerSecond: answered / sent.seconds,
    answeredPerCpuSecond: answered / path,
    unansweredShare: 1 - answered / sent.packets,
    sentPerSecond: sent.perSecond,
    pathCpu: path / sent.seconds,
    controlCpu: (sluice === undefined ? 0 : all - busiest) / sent.seconds,
  }
}
