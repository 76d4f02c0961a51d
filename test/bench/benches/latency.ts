import { queueState } from '../runner/arena.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { knock, listen } from '../runner/honest-client.ts'
import { type Limiter, loopLimiter, noLimiter, sluiceLimiter } from '../runner/limiters.ts'
import { GENEROUS, service } from '../runner/policy.ts'
import type { Stage } from '../runner/stage.ts'

/** Everything is accepted, by sluice as by its peers: the difference is what a decision takes. */
const POLICY = { services: { ssh: service(['22/tcp'], GENEROUS) } }
const SOURCES = 1000

const LOADS = { idle: 0, 'half of what the C loop can answer': 0.5, 'as much as the sender can send': 1 }

export const latency: Bench = {
  name: 'latency',
  question: 'how long does an honest client wait for its SYN-ACK?',
  metrics: {
    p50: { unit: 'us', unitSize: 1000, isCost: true },
    p99: { unit: 'us', unitSize: 1000, isCost: true },
    worst: { unit: 'ms', unitSize: 1e6, isCost: true },
    floodPerSecond: { unit: 'k/s', unitSize: 1000 },
  },
  targets: [
    { metric: 'p99', of: { contestant: 'sluice' }, over: { contestant: 'C, batches' }, atMost: 1.2 },
    {
      metric: 'p99',
      of: { contestant: 'sluice, disturbed' },
      over: { contestant: 'C, batches' },
      atMost: 1.2,
    },
    { metric: 'p50', of: { contestant: 'sluice' }, over: { contestant: 'C, batches' } },
  ],
  async *cases(stage: Stage): AsyncGenerator<Case> {
    stage.note('disturbed: scraped every second, and reloaded in the middle of each run')
    const most = await answerRate(stage)
    for (const [name, load] of Object.entries(LOADS)) {
      const limiters = [
        await sluiceLimiter(stage, POLICY),
        await loopLimiter(stage, POLICY, 'batch'),
        noLimiter(stage),
      ]
      for (const { arena } of limiters) await listen(stage, arena)
      // A rate of 0 means no limit.
      const rate = load === 0 ? undefined : load === 1 ? 0 : load * most
      yield {
        name,
        contestants: new Map([
          ...limiters.map((each) => [each.name, () => knockUnder(stage, each, rate)] as const),
          ['sluice, disturbed', () => disturbed(stage, limiters[0]!, rate)],
        ]),
      }
    }
  },
}

/** Packets a second that the C loop answers, from a short flood. */
async function answerRate(stage: Stage): Promise<number> {
  const { arena, pid } = await loopLimiter(stage, POLICY, 'batch')
  const sent = await arena.flood({ sources: SOURCES, seconds: 1 })
  const { delivered } = queueState(pid!)
  await stage.release()
  return delivered / sent.seconds
}

/** @param rate of the flood beside the client; `undefined`: none. */
async function knockUnder(stage: Stage, { arena }: Limiter, rate: number | undefined): Promise<Figures> {
  const seconds = stage.seconds + 0.5
  const flood = rate === undefined ? undefined : arena.flood({ sources: SOURCES, seconds, rate })
  const waits = await knock(stage, arena)
  return { ...waits, floodPerSecond: (await flood)?.perSecond ?? 0 }
}

async function disturbed(stage: Stage, sluice: Limiter, rate: number | undefined): Promise<Figures> {
  const reload = setTimeout(() => sluice.sluice!.signal('SIGHUP'), stage.seconds * 500)
  const scraping = scrape(sluice.arena.server)
  const figures = await knockUnder(stage, sluice, rate)
  clearTimeout(reload)
  scraping.kill()
  return figures
}

function scrape(server: Limiter['arena']['server']) {
  const once =
    'exec 3<>/dev/tcp/127.0.0.1/9713; printf "GET /metrics HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3 >/dev/null'
  return server.spawn('bash', ['-c', `while :; do ${once}; sleep 1; done`], { stdio: 'ignore' })
}
