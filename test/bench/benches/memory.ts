import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { residentBytes } from '../runner/cpu.ts'
import { sluiceLimiter } from '../runner/limiters.ts'
import { type BenchPolicy, GENEROUS, service } from '../runner/policy.ts'
import type { Stage } from '../runner/stage.ts'

const MIB = 2 ** 20
const MILLION = 1_000_000

/** A thousand a second. */
const HOUR_IN_PACKETS = 3_600_000

/** More than the ban sets hold, so that bans come and go. */
const OFFENDERS = 100_000

const ACCEPTING = service(['22/tcp'], GENEROUS)
/** Bans all the time, so that the control thread has something to do. */
const BANNING = { ...service(['22/tcp'], { burst: 3, rate: '1/min' }), ban: { strikes: 3, within: '10m' } }

export const memory: Bench = {
  name: 'memory',
  question: 'how much memory does the daemon keep?',
  metrics: {
    idle: { unit: 'MB', unitSize: 1e6, isCost: true },
    after: { unit: 'MB', unitSize: 1e6, isCost: true },
    perMillion: { unit: 'MiB', unitSize: MIB, isCost: true },
    growth: { unit: 'MiB', unitSize: MIB, isCost: true },
  },
  targets: [
    { metric: 'idle', of: { contestant: 'sluice' }, atMost: 90e6 },
    { metric: 'perMillion', of: { contestant: 'sluice' }, atMost: 64 * MIB },
    { metric: 'growth', of: { contestant: 'sluice' }, atMost: 4 * MIB },
  ],
  *cases(stage: Stage): Generator<Case> {
    yield {
      name: 'a million sources',
      isFresh: true,
      rounds: 2,
      contestants: new Map([['sluice', () => millionSources(stage)]]),
    }
    yield {
      name: "an hour's flood, compressed",
      isFresh: true,
      rounds: 2,
      contestants: new Map([['sluice', () => longFlood(stage)]]),
    }
  },
}

async function millionSources(stage: Stage): Promise<Figures> {
  const policy: BenchPolicy = { services: { ssh: ACCEPTING }, sources: MILLION }
  const { arena, pid } = await sluiceLimiter(stage, policy)
  const idle = await settled(pid!)
  // Each source is drawn at random: of a million, 98 of 100 have come after four million packets.
  await arena.flood({ sources: MILLION, packets: 4 * MILLION, rate: 150_000 })
  const after = await settled(pid!)
  await stage.release()
  return { idle, after, perMillion: after - idle }
}

async function longFlood(stage: Stage): Promise<Figures> {
  const { arena, pid } = await sluiceLimiter(stage, { services: { ssh: BANNING } })
  const idle = await settled(pid!)
  const flood = () => arena.flood({ sources: OFFENDERS, packets: HOUR_IN_PACKETS / 2, rate: 150_000 })
  await flood()
  const halfway = await settled(pid!)
  await flood()
  const after = await settled(pid!)
  await stage.release()
  return { idle, after, growth: after - halfway }
}

/** Resident bytes when garbage has had time to go. */
async function settled(pid: number): Promise<number> {
  await sleep(2000)
  return residentBytes(pid)
}
