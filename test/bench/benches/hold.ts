import { droppedBy, queueState } from '../runner/arena.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { knock, listen } from '../runner/honest-client.ts'
import { type Limiter, loopLimiter, noLimiter, sluiceLimiter } from '../runner/limiters.ts'
import { type BenchPolicy, GENEROUS } from '../runner/policy.ts'
import type { Stage } from '../runner/stage.ts'

/** The shipped rates of SSH; the burst is for the honest client, who must stay within it in every round. */
const BURST = 20_000
const POLICY: BenchPolicy = {
  services: {
    ssh: {
      ports: ['22/tcp'],
      limits: {
        source: { burst: BURST, rate: '4/min' },
        network: { burst: BURST, rate: '20/min' },
        total: GENEROUS,
      },
    },
  },
  // As shipped; the other benches have none.
  holds: { above: 0.05, factor: 20 },
}

export const hold: Bench = {
  name: 'hold',
  question: 'what does it bring that a flood is dropped before it comes to the queue?',
  metrics: {
    answeredPerSecond: { unit: 'k/s', unitSize: 1000 },
    p50: { unit: 'us', unitSize: 1000, isCost: true },
    p99: { unit: 'us', unitSize: 1000, isCost: true },
    worst: { unit: 'ms', unitSize: 1e6, isCost: true },
    queuedShare: { unit: '%', unitSize: 0.01, isCost: true },
    sentPerSecond: { unit: 'k/s', unitSize: 1000 },
  },
  targets: [
    {
      metric: 'answeredPerSecond',
      of: { contestant: 'sluice' },
      over: { contestant: 'C, batches' },
      atLeast: 2,
      cases: /sources?$/,
    },
    {
      metric: 'p99',
      of: { contestant: 'sluice' },
      over: { contestant: 'sluice', case: 'idle' },
      atMost: 1.5,
      cases: /sources?$/,
    },
  ],
  async *cases(stage: Stage): AsyncGenerator<Case> {
    for (const sources of [0, 1, 100, 10_000]) {
      const limiters = [
        await sluiceLimiter(stage, POLICY),
        await loopLimiter(stage, POLICY, 'batch'),
        noLimiter(stage),
      ]
      for (const { arena } of limiters) await listen(stage, arena)
      // Each flood uses up its bursts before anything is measured.
      const networks = Math.ceil(sources / 256)
      if (sources > 0) await limiters[0]!.arena.flood({ sources, packets: 2 * BURST * networks })
      yield {
        name: sources === 0 ? 'idle' : `flood from ${counted(sources)}`,
        contestants: new Map(limiters.map((each) => [each.name, () => floodAndKnock(stage, each, sources)])),
      }
    }
  },
}

async function floodAndKnock(stage: Stage, limiter: Limiter, sources: number): Promise<Figures> {
  const { arena } = limiter
  if (sources === 0) return { ...(await knock(stage, arena)) }
  const before = answered(limiter)
  const flood = arena.flood({ sources, seconds: stage.seconds + 0.5 })
  const waits = await knock(stage, arena)
  const sent = await flood
  const after = answered(limiter)
  const queued = after.queued - before.queued
  const inKernel = limiter.pid === undefined ? sent.packets : after.held - before.held
  return {
    ...waits,
    answeredPerSecond: (queued + inKernel) / sent.seconds,
    queuedShare: queued / sent.packets,
    sentPerSecond: sent.perSecond,
  }
}

/** Packets that have been answered so far: by whoever reads the queue, and by the hold rules. */
function answered({ arena, pid }: Limiter): { queued: number; held: number } {
  if (pid === undefined) return { queued: 0, held: 0 }
  const { delivered, waiting } = queueState(pid)
  return { queued: delivered - waiting, held: droppedBy(arena.server, 'raw', 'DROP') }
}

function counted(sources: number): string {
  return sources === 1 ? '1 source' : `${sources.toLocaleString('en-US')} sources`
}
