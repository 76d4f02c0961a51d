import { writeFileSync } from 'node:fs'
import { type Arena, type PacketKind, queueState } from '../runner/arena.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { type BenchLimit, GENEROUS, ONCE, policyText, service } from '../runner/policy.ts'
import type { Stage } from '../runner/stage.ts'
import { Talker } from '../runner/talker.ts'

const QUEUE = 7
const PACKETS = 65_535
/** Drains before the first round, besides its own that does not count: V8 compiles the path in them. */
const WARM_UPS = 3
/** 64 packets of each: half of them are within a burst of 32. */
const SOURCES = 1024

/** The limit of a source that leads to each mixture of verdicts. */
const LIMITS = { accept: GENEROUS, drop: ONCE, mixed: { burst: 32, rate: '1/d' } } satisfies Record<
  string,
  BenchLimit
>
const DROPPED_SHARE = { accept: [0, 0], drop: [0.95, 1], mixed: [0.3, 0.7] } as const

type Mixture = keyof typeof LIMITS

const RULES: Record<PacketKind, string> = {
  syn: '-p tcp --dport 22 -m conntrack --ctstate NEW',
  dns: '-p udp --dport 53',
}

export const drain: Bench = {
  name: 'drain',
  question: 'how fast is a full queue of 65,535 packets answered?',
  metrics: {
    packetsPerSecond: { unit: 'k/s', unitSize: 1000 },
    userNanoseconds: { unit: 'ns/packet', isCost: true },
  },
  targets: [
    {
      metric: 'packetsPerSecond',
      of: { contestant: 'sluice' },
      over: { contestant: 'C, batches' },
      atLeast: 0.9,
    },
    {
      metric: 'packetsPerSecond',
      of: { contestant: 'sluice' },
      over: { contestant: 'C, one by one' },
      atLeast: 1.2,
    },
    { metric: 'userNanoseconds', of: { contestant: 'sluice' }, atMost: 500 },
    ...(['accept', 'drop', 'mixed'] as const).map((mixture) => ({
      metric: 'packetsPerSecond',
      of: { contestant: 'sluice', case: `DNS, ${mixture}` },
      over: { contestant: 'sluice', case: `SYN, ${mixture}` },
      atLeast: 0.8,
    })),
  ],
  async *cases(stage: Stage): AsyncGenerator<Case> {
    for (const kind of ['syn', 'dns'] as const) {
      for (const mixture of ['accept', 'drop', 'mixed'] as const) yield await drainCase(stage, kind, mixture)
    }
  },
}

async function drainCase(stage: Stage, kind: PacketKind, mixture: Mixture): Promise<Case> {
  const policy = stage.path(`drain-${kind}-${mixture}.yaml`)
  const services = { ssh: service(['22/tcp'], LIMITS[mixture]), dns: service(['53/udp'], LIMITS[mixture]) }
  // A table no larger than needed: every drain begins with a new one, and the kernel has to clear its pages.
  writeFileSync(policy, policyText({ services, queueLength: PACKETS, sources: 4 * SOURCES }))
  const loop = stage.compiled('loop', '-lmnl')
  const inC = [`${QUEUE}`, `${PACKETS}`]
  const programs: [string, string, string[]][] = [
    ['sluice', process.execPath, [stage.script('loop-sluice.mjs'), `${QUEUE}`, policy]],
    ['C, batches', loop, [...inC, 'batch', mixture, 'paced']],
    ['C, one by one', loop, [...inC, 'single', mixture, 'paced']],
  ]
  const contestants: Case['contestants'] = new Map(
    await Promise.all(
      programs.map(async ([name, command, args]) => {
        const arena = stage.arena()
        arena.rule(`-t mangle -A PREROUTING ${RULES[kind]} -j NFQUEUE --queue-num ${QUEUE}`)
        const talker = await Talker.start(arena.server, command, args)
        stage.onEnd(() => talker.close())
        for (let i = 0; i < WARM_UPS; i++) await fillAndDrain(arena, talker, kind, mixture)
        return [name, () => fillAndDrain(arena, talker, kind, mixture)] as const
      }),
    ),
  )
  return { name: `${kind === 'syn' ? 'SYN' : 'DNS'}, ${mixture}`, contestants }
}

async function fillAndDrain(
  arena: Arena,
  talker: Talker,
  kind: PacketKind,
  mixture: Mixture,
): Promise<Figures> {
  await arena.flood({ kind, sources: SOURCES, packets: PACKETS })
  const { waiting } = queueState(talker.pid)
  if (waiting !== PACKETS) throw new Error(`${waiting} packets wait in the queue instead of ${PACKETS}`)
  talker.say(`${PACKETS}`)
  const [nanoseconds = 0, user = 0, dropped] = await talker.hear()
  const [least, most] = DROPPED_SHARE[mixture]
  const share = dropped === undefined ? least : dropped / PACKETS
  if (share < least || share > most)
    throw new Error(`${dropped} packets were dropped, for verdict ${mixture}`)
  return { packetsPerSecond: (PACKETS * 1e9) / nanoseconds, userNanoseconds: user / PACKETS }
}
