import { writeFileSync } from 'node:fs'
import { query, reverseOf } from '../../lib/dns-query.ts'
import { packet } from '../../lib/packets.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { packetFile } from '../runner/packet-file.ts'
import { GENEROUS, policyText, service } from '../runner/policy.ts'
import type { Stage } from '../runner/stage.ts'
import { Talker } from '../runner/talker.ts'

/** In one run, after half as many that do not count: V8 compiles the path in them. */
const MEASURED = 1 << 21
/** At least; more where each is of another source. */
const PACKETS = 1 << 18

const LIMITS = { source: GENEROUS, network: GENEROUS, total: GENEROUS }
const SWEEP = { names: 10_000, partial: 10_000, source: GENEROUS, network: GENEROUS }
/** Never reached: the cost is of looking. */
const FLOOD = { usual: '1000000/s', factor: 100 }

/** The path with more and more of what it does about DNS. */
const HEURISTICS = {
  'DNS, limits': { reverse: LIMITS, malformed: LIMITS, sweep: 'off', flood: 'off' },
  'DNS, sweeps': { reverse: LIMITS, malformed: LIMITS, sweep: SWEEP, flood: 'off' },
  'DNS, floods': { reverse: LIMITS, malformed: LIMITS, sweep: 'off', flood: FLOOD },
  'DNS, everything': { reverse: LIMITS, malformed: LIMITS, sweep: SWEEP, flood: FLOOD },
}

/** The name that the n-th packet asks for. */
const NAMES = {
  forward: (n: number) => ({ name: `www${n % 1000}.example.org` }),
  'reverse, one after the other': (n: number) => ({ name: reverseOf(n >>> 0), type: 12 }),
  'reverse, random': (n: number) => ({ name: reverseOf(Math.imul(n, 0x9e3779b1) >>> 0), type: 12 }),
  'reverse, ip6.arpa': (n: number) => ({
    name: `${[...n.toString(16).padStart(32, '0')].join('.')}.ip6.arpa`,
    type: 12,
  }),
}

const CASES = [
  ['forward', 10_000],
  ['forward', 1_000_000],
  ['reverse, one after the other', 10_000],
  ['reverse, random', 10_000],
  ['reverse, random', 1_000_000],
  ['reverse, ip6.arpa', 10_000],
] as const

export const dns: Bench = {
  name: 'dns',
  question: 'what does a decision about a DNS query cost, beside one about a SYN?',
  metrics: {
    packetsPerSecond: { unit: 'M/s', unitSize: 1e6 },
    nanoseconds: { unit: 'ns/packet', isCost: true },
  },
  targets: [
    {
      metric: 'packetsPerSecond',
      of: { contestant: 'DNS, everything' },
      over: { contestant: 'SYN' },
      atLeast: 0.8,
      cases: /^forward/,
    },
  ],
  async *cases(stage: Stage): AsyncGenerator<Case> {
    for (const [kind, sources] of CASES) {
      yield await dnsCase(stage, `${kind}, ${sources.toLocaleString('en-US')} sources`, sources, NAMES[kind])
    }
  },
}

async function dnsCase(
  stage: Stage,
  name: string,
  sources: number,
  asked: (n: number) => { name: string; type?: number },
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
  const programs: [string, string, string][] = [
    ['SYN', syns, policyText({ services, sources: 1_048_576 })],
    ['any datagram', queries, policyText({ services: { ...services, dns: plain }, sources: 1_048_576 })],
    ...Object.entries(HEURISTICS).map(
      ([contestant, dns]) =>
        [contestant, queries, policyText({ services, sources: 1_048_576, dns })] as [string, string, string],
    ),
  ]
  const contestants = new Map<string, () => Promise<Figures>>()
  const arena = stage.arena()
  for (const [i, [contestant, packets, text]] of programs.entries()) {
    const policy = stage.path(`dns-${i}.yaml`)
    writeFileSync(policy, text)
    const script = [stage.script('path-sluice.mjs'), packets, policy]
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
