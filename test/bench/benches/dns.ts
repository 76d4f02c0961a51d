import { writeFileSync } from 'node:fs'
import { query, reverseOf } from '../../lib/dns-query.ts'
import { packet } from '../../lib/packets.ts'
import { droppedBy, FLOOD_NETWORKS, queueState } from '../runner/arena.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { packetFile } from '../runner/packet-file.ts'
import { GENEROUS, ONCE, policyText, service } from '../runner/policy.ts'
import type { Stage } from '../runner/stage.ts'
import { Talker } from '../runner/talker.ts'

/** In one run, after half as many that do not count: V8 compiles the path in them. */
const MEASURED = 1 << 21
/** At least; more where each is of another source. */
const PACKETS = 1 << 18
/** What one queue holds. */
const SLIPPED = 65_535
const QUEUE = 7

const LIMITS = { source: GENEROUS, network: GENEROUS, total: GENEROUS }
/** Sweeps are found, and nobody is refused for one. */
const SWEEP = { names: 30, partial: 16, source: GENEROUS, network: GENEROUS }
/** Never reached: the cost is of looking. */
const FLOOD = { usual: '1000000/s', factor: 100 }

/** The path with more and more of what it does about DNS. */
const HEURISTICS = {
  'DNS, limits': { reverse: LIMITS, malformed: LIMITS, sweep: 'off', flood: 'off' },
  'DNS, sweeps': { reverse: LIMITS, malformed: LIMITS, sweep: SWEEP, flood: 'off' },
  'DNS, floods': { reverse: LIMITS, malformed: LIMITS, sweep: 'off', flood: FLOOD },
  'DNS, everything': { reverse: LIMITS, malformed: LIMITS, sweep: SWEEP, flood: FLOOD },
}
type Contestant = 'SYN' | 'any datagram' | keyof typeof HEURISTICS

const ALL = ['SYN', ...Object.keys(HEURISTICS)] as readonly Contestant[]
/** A forward query meets none of the heuristics by itself. */
const OF_FORWARD = ['SYN', 'any datagram', 'DNS, everything'] as const
const OF_REVERSE = ['SYN', 'DNS, everything'] as const

/** The name that the n-th packet asks for. */
const NAMES = {
  forward: (n: number) => ({ name: `www${n % 1000}.example.org` }),
  'reverse, sweep of a /16': (n: number) => ({ name: reverseOf(0x0a010000 + (n & 0xffff)), type: 12 }),
  'reverse, random': (n: number) => ({ name: reverseOf(Math.imul(n, 0x9e3779b1) >>> 0), type: 12 }),
  'reverse, ip6.arpa': (n: number) => ({
    name: `${[...n.toString(16).padStart(32, '0')].join('.')}.ip6.arpa`,
    type: 12,
  }),
}

const CASES: readonly (readonly [keyof typeof NAMES, number, readonly Contestant[]])[] = [
  ['forward', 10_000, OF_FORWARD],
  ['forward', 1_000_000, OF_FORWARD],
  ['reverse, sweep of a /16', 10_000, OF_REVERSE],
  ['reverse, random', 10_000, ALL],
  ['reverse, random', 1_000_000, OF_REVERSE],
  ['reverse, ip6.arpa', 10_000, OF_REVERSE],
]

export const dns: Bench = {
  name: 'dns',
  question:
    'what does a decision about a DNS query cost, beside one about a SYN, and how fast are refused ones answered?',
  metrics: {
    packetsPerSecond: { unit: 'M/s', unitSize: 1e6 },
    nanoseconds: { unit: 'ns/packet', isCost: true },
    queriesPerSecond: { unit: 'k/s', unitSize: 1000 },
    repliesPerSecond: { unit: 'k/s', unitSize: 1000 },
  },
  targets: [
    {
      metric: 'packetsPerSecond',
      of: { contestant: 'DNS, everything' },
      over: { contestant: 'SYN' },
      atLeast: 0.8,
      cases: /^forward/,
    },
    {
      metric: 'nanoseconds',
      of: { contestant: 'DNS, everything' },
      over: { contestant: 'DNS, limits' },
    },
  ],
  async *cases(stage: Stage): AsyncGenerator<Case> {
    for (const [kind, sources, contestants] of CASES) {
      const name = `${kind}, ${sources.toLocaleString('en-US')} sources`
      yield await dnsCase(stage, name, sources, NAMES[kind], contestants)
    }
    yield await slipCase(stage)
  },
}

async function dnsCase(
  stage: Stage,
  name: string,
  sources: number,
  asked: (n: number) => { name: string; type?: number },
  names: readonly Contestant[],
): Promise<Case> {
  const syns = stage.path('syns')
  const queries = stage.path('queries')
  const sourceOf = (n: number) =>
    `100.${64 + ((n % sources) >> 16)}.${((n % sources) >> 8) & 255}.${(n % sources) & 255}`
  const count = sources > PACKETS ? 1 << 20 : PACKETS
  const each = <T>(make: (n: number) => T) => Array.from({ length: count }, (_, n) => make(n))
  const order = (n: number) => Math.imul(n, 0x9e3779b1) >>> 0
  writeFileSync(syns, packetFile(each((n) => packet({ from: sourceOf(order(n)), port: 22, sequence: n }))))
  writeFileSync(
    queries,
    packetFile(
      each((n) => packet({ from: sourceOf(order(n)), port: 53, protocol: 'udp', payload: query(asked(n)) })),
    ),
  )
  const plain = { ...service(['53/udp'], GENEROUS), dns: false }
  const services = { ssh: service(['22/tcp'], GENEROUS), dns: service(['53/udp'], GENEROUS) }
  const contestants = new Map<string, () => Promise<Figures>>()
  const arena = stage.arena()
  for (const contestant of names) {
    const policy = stage.path(`dns-${contestant}.yaml`)
    const section = contestant in HEURISTICS ? HEURISTICS[contestant as keyof typeof HEURISTICS] : undefined
    const given = contestant === 'any datagram' ? { ...services, dns: plain } : services
    writeFileSync(
      policy,
      policyText({ services: given, sources: 1_048_576, ...(section && { dns: section }) }),
    )
    const script = [stage.script('path-sluice.mjs'), contestant === 'SYN' ? syns : queries, policy]
    contestants.set(contestant, async () => {
      const talker = await Talker.start(arena.server, process.execPath, script)
      try {
        talker.say(`${MEASURED / count / 2}`)
        await talker.hear()
        talker.say(`${MEASURED / count}`)
        const [nanoseconds = 0, accepted = 0] = await talker.hear()
        if (accepted !== MEASURED) throw new Error(`${MEASURED - accepted} packets were refused`)
        const each = nanoseconds / MEASURED
        return { packetsPerSecond: 1e9 / each, nanoseconds: each }
      } finally {
        talker.close()
      }
    })
  }
  // A process for each run: six tables of a million sources side by side would not fit into small machines.
  return { name, contestants, isFresh: true, rounds: 3 }
}

/** A full queue of queries that are refused, each of which is answered with TC=1, or none. */
async function slipCase(stage: Stage): Promise<Case> {
  const services = { dns: { ...service(['53/udp', '53/tcp'], ONCE), dns: true } }
  const contestants = new Map<string, () => Promise<Figures>>()
  for (const [name, slip] of [
    ['dropped', 0],
    ['answered', 1],
  ] as const) {
    const policy = stage.path(`slip-${slip}.yaml`)
    const dns = { slip, slipRate: '1000000/s' }
    writeFileSync(policy, policyText({ services, queueLength: SLIPPED, sources: 4096, dns }))
    const arena = stage.arena()
    arena.rule(`-t mangle -A PREROUTING -p udp --dport 53 -j NFQUEUE --queue-num ${QUEUE}`)
    arena.server.run('ip', 'route', 'add', FLOOD_NETWORKS[4], 'via', arena.sender.ipv4)
    arena.sender.run('iptables', '-t', 'raw', '-A', 'PREROUTING', '-p', 'udp', '--sport', '53', '-j', 'DROP')
    const script = [stage.script('loop-sluice.mjs'), `${QUEUE}`, policy, '1']
    const talker = await Talker.start(arena.server, process.execPath, script)
    stage.onEnd(() => talker.close())
    contestants.set(name, async () => {
      await arena.flood({ kind: 'dns', sources: 1024, packets: SLIPPED })
      const { waiting } = queueState(talker.pid)
      if (waiting !== SLIPPED) throw new Error(`${waiting} packets wait in the queue instead of ${SLIPPED}`)
      const before = droppedBy(arena.sender, 'raw', 'DROP')
      talker.say(`${SLIPPED}`)
      const [nanoseconds = 0] = await talker.hear()
      const replies = droppedBy(arena.sender, 'raw', 'DROP') - before
      // All but the first of each source are refused.
      if (slip === 1 && replies < 0.98 * SLIPPED)
        throw new Error(`${replies} of ${SLIPPED} queries were answered`)
      const perNanosecond = 1e9 / nanoseconds
      return { queriesPerSecond: SLIPPED * perNanosecond, repliesPerSecond: replies * perNanosecond }
    })
  }
  return { name: 'refused queries in a full queue', contestants }
}
