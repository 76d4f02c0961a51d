import { writeFileSync } from 'node:fs'
import { queueState } from '../runner/arena.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { type Limiter, sluiceLimiter } from '../runner/limiters.ts'
import { GENEROUS } from '../runner/policy.ts'
import type { Stage } from '../runner/stage.ts'

const SOURCES = 2560
const SOURCE_BURST = 20
const NETWORK_BURST = 4000
const SEEN = 'seen'

/** No token grows back within a run: what gets through is exactly the burst. A full queue lets nobody pass. */
const SERVICES = {
  ssh: {
    ports: ['22/tcp'],
    limits: {
      source: { burst: SOURCE_BURST, rate: '1/d' },
      network: { burst: NETWORK_BURST, rate: '1/d' },
      total: GENEROUS,
    },
  },
}

export const threads: Bench = {
  name: 'threads',
  question: 'does each source and network get exactly its limit, however many threads decide?',
  metrics: {
    answeredPerSecond: { unit: 'k/s', unitSize: 1000 },
    mostOfSource: { unit: '', isCost: true },
    mostOfNetwork: { unit: '', isCost: true },
  },
  targets: [
    { metric: 'mostOfSource', of: { contestant: '1 thread' }, atMost: SOURCE_BURST },
    { metric: 'mostOfSource', of: { contestant: '2 threads' }, atMost: SOURCE_BURST },
    { metric: 'mostOfNetwork', of: { contestant: '1 thread' }, atMost: NETWORK_BURST },
    { metric: 'mostOfNetwork', of: { contestant: '2 threads' }, atMost: NETWORK_BURST },
    { metric: 'answeredPerSecond', of: { contestant: '2 threads' }, over: { contestant: '1 thread' } },
  ],
  *cases(stage: Stage): Generator<Case> {
    stage.note(
      'packets are counted by source behind the limiter, in filter INPUT, for the whole run of a daemon',
    )
    yield {
      name: `${SOURCES.toLocaleString('en-US')} sources in ${SOURCES / 256} networks`,
      isFresh: true,
      contestants: new Map([
        ['1 thread', () => floodThreads(stage, 1)],
        ['2 threads', () => floodThreads(stage, 2)],
      ]),
    }
  },
}

async function floodThreads(stage: Stage, count: number): Promise<Figures> {
  const limiter = await sluiceLimiter(stage, { services: SERVICES, threads: count, failOpen: false })
  countSources(stage, limiter)
  const before = queueState(limiter.pid!)
  const sent = await limiter.arena.flood({ sources: SOURCES, seconds: stage.seconds })
  const after = queueState(limiter.pid!)
  const counts = countedSources(limiter)
  await stage.release()
  return {
    answeredPerSecond: (after.delivered - after.waiting - before.delivered) / sent.seconds,
    mostOfSource: Math.max(...counts.values()),
    mostOfNetwork: Math.max(...byNetwork(counts).values()),
  }
}

function countSources(stage: Stage, { arena }: Limiter): void {
  const addresses = Array.from({ length: SOURCES }, (_, i) => `add ${SEEN} 100.64.${i >> 8}.${i & 255}\n`)
  const file = stage.path('seen.restore')
  writeFileSync(file, `create ${SEEN} hash:ip counters maxelem ${SOURCES}\n${addresses.join('')}`)
  arena.server.run('ipset', 'restore', '-file', file)
  arena.rule(`-I INPUT -p tcp --dport 22 -m set --match-set ${SEEN} src`)
}

function countedSources({ arena }: Limiter): Map<string, number> {
  const rows = arena.server.run('ipset', 'list', SEEN).matchAll(/^([\d.]+) packets (\d+)/gm)
  return new Map([...rows].map(([, source, packets]) => [source!, Number(packets)]))
}

function byNetwork(counts: ReadonlyMap<string, number>): Map<string, number> {
  const networks = new Map<string, number>()
  for (const [source, count] of counts) {
    const network = source.replace(/\.\d+$/, '')
    networks.set(network, (networks.get(network) ?? 0) + count)
  }
  return networks
}
