import { readdirSync, writeFileSync } from 'node:fs'
import { parsePolicy } from '../../../src/config/load.ts'
import { compilePolicy, LIMIT_KINDS, LIMITS_PER_SLOT } from '../../../src/path/compile.ts'
import { decode, PacketView } from '../../../src/path/decode.ts'
import { NO_SERVICE, ServiceSlots } from '../../../src/path/service-slots.ts'
import { packet } from '../../lib/packets.ts'
import { readCapture } from '../../lib/read-capture.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { packetFile } from '../runner/packet-file.ts'
import { type BenchPolicy, type BenchService, GENEROUS, ONCE, policyText, service } from '../runner/policy.ts'
import type { Stage } from '../runner/stage.ts'
import { Talker } from '../runner/talker.ts'

const PACKETS = 1 << 20
const PASSES = 3
const CAPTURES = new URL('../../../pcaps/', import.meta.url).pathname

interface Traffic {
  readonly name: string
  readonly sources: number
  readonly family?: 4 | 6
  readonly protocol?: 'tcp' | 'udp'
  readonly services?: number
  readonly isRefused?: boolean
}

const TRAFFIC: readonly Traffic[] = [
  { name: '1,000 sources', sources: 1000 },
  { name: '10,000 sources', sources: 10_000 },
  { name: '100,000 sources', sources: 100_000 },
  { name: '1,000,000 sources', sources: 1_000_000 },
  { name: '1,000,000 sources, refused', sources: 1_000_000, isRefused: true },
  { name: '1,000,000 sources, IPv6', sources: 1_000_000, family: 6 },
  { name: '1,000,000 sources, UDP', sources: 1_000_000, protocol: 'udp' },
  { name: '1 service', sources: 10_000, services: 1 },
  { name: '8 services', sources: 10_000, services: 8 },
  { name: '32 services', sources: 10_000, services: 32 },
]

export const path: Bench = {
  name: 'path',
  question: 'what does a decision cost, from bytes in memory to the verdict?',
  metrics: {
    packetsPerSecond: { unit: 'M/s', unitSize: 1e6 },
    nanoseconds: { unit: 'ns/packet', isCost: true },
  },
  targets: [
    { metric: 'packetsPerSecond', of: { contestant: 'sluice' }, over: { contestant: 'C' }, atLeast: 0.5 },
    { metric: 'packetsPerSecond', of: { contestant: 'sluice' }, atLeast: 5e6, cases: /^1,000,000/ },
    {
      metric: 'nanoseconds',
      of: { contestant: 'sluice', case: '32 services' },
      over: { contestant: 'sluice', case: '1 service' },
      atMost: 2,
    },
  ],
  async *cases(stage: Stage): AsyncGenerator<Case> {
    for (const traffic of TRAFFIC) {
      const packets = stage.path('packets')
      writeFileSync(packets, packetFile(generated(traffic)))
      yield await pathCase(stage, traffic.name, packets, policyOf(traffic))
    }
    const captured = await capturedPackets()
    if (captured.length === 0) return stage.note('left out: there are no captures in pcaps/')
    const packets = stage.path('packets')
    const repeated = Array.from({ length: PACKETS }, (_, i) => captured[i % captured.length]!)
    writeFileSync(packets, packetFile(repeated))
    yield await pathCase(stage, 'captures', packets, policyOf({ name: '', sources: 0 }))
  },
}

async function pathCase(stage: Stage, name: string, packets: string, policy: BenchPolicy): Promise<Case> {
  const text = policyText(policy)
  const [yaml, binary] = [stage.path('path.yaml'), stage.path('path.policy')]
  writeFileSync(yaml, text)
  writeFileSync(binary, binaryPolicy(text))
  const arena = stage.arena()
  const programs: [string, string, string[]][] = [
    ['sluice', process.execPath, [stage.script('path-sluice.mjs'), packets, yaml]],
    ['C', stage.compiled('path'), [packets, binary]],
  ]
  const accepted: number[][] = []
  const contestants = new Map<string, () => Promise<Figures>>()
  for (const [program, command, args] of programs) {
    const talker = await Talker.start(arena.server, command, args)
    stage.onEnd(() => talker.close())
    const verdicts: number[] = []
    accepted.push(verdicts)
    contestants.set(program, async () => {
      talker.say(`${PASSES}`)
      const [nanoseconds = 0, count = 0] = await talker.hear()
      verdicts.push(count)
      requireAgreement(accepted, PACKETS * PASSES)
      const each = nanoseconds / (PACKETS * PASSES)
      return { packetsPerSecond: 1e9 / each, nanoseconds: each }
    })
  }
  return { name, contestants }
}

/** Round by round. A table forgets by a random seed: two of them never agree quite. */
function requireAgreement([ours, theirs]: readonly number[][], packets: number): void {
  for (const [round, count] of ours!.entries()) {
    const other = theirs![round] ?? count
    if (Math.abs(count - other) > packets / 50) {
      throw new Error(`the paths do not decide alike: ${count} and ${other} accepted of ${packets}`)
    }
  }
}

function policyOf({ services = 1, isRefused = false }: Traffic): BenchPolicy {
  const limit = isRefused ? ONCE : GENEROUS
  const each = (i: number): [string, BenchService] => [
    `service-${i}`,
    { ...service([`${22 + i}/tcp`, `${22 + i}/udp`], limit), ban: { strikes: 5, within: '10m' } },
  ]
  return {
    sources: 1_048_576,
    services: Object.fromEntries(Array.from({ length: services }, (_, i) => each(i))),
  }
}

/** `PACKETS` packets, each of another source, in an order that the processor cannot foresee. */
function generated({ sources, family = 4, protocol = 'tcp', services = 1 }: Traffic): Uint8Array[] {
  const from = family === 4 ? '100.64.0.0' : '2001:db8::1'
  const payload = new Uint8Array(protocol === 'udp' ? 29 : 0)
  const templates = Array.from({ length: services }, (_, i) =>
    packet({ from, port: 22 + i, protocol, payload }),
  )
  return Array.from({ length: PACKETS }, (_, i) => {
    const bytes = templates[i % services]!.slice()
    const view = new DataView(bytes.buffer)
    // 256 sources to a network: IPv4 addresses to a /24, IPv6 /64s to a /48.
    const source = (i * 0x9e3779b1) % sources
    if (family === 4) view.setUint32(12, view.getUint32(12) + source)
    else view.setUint32(12, ((source >> 8) << 16) | (source & 255))
    const transport = family === 4 ? 20 : 40
    view.setUint16(transport, 1024 + (i % 60_000))
    if (protocol === 'tcp') view.setUint32(transport + 4, i)
    return bytes
  })
}

/** The compiled policy as struct policy of path.c has it. */
function binaryPolicy(text: string): Uint8Array {
  const policy = parsePolicy(text, 'bench')
  const compiled = compilePolicy(policy, new ServiceSlots())
  const { tcpPorts, udpPorts, intervalMs, toleranceMs, strikeWindowSeconds, strikes } = compiled
  // The path in C knows nobody good, and no DNS: of each service it takes the limits for strangers.
  const ofServices = (numbers: Float64Array) =>
    Float64Array.from({ length: NO_SERVICE * LIMIT_KINDS.length }, (_, i) => {
      const slot = Math.floor(i / LIMIT_KINDS.length)
      return numbers[slot * LIMITS_PER_SLOT + (i % LIMIT_KINDS.length)]!
    })
  const limits = [ofServices(intervalMs), ofServices(toleranceMs)]
  const parts = [tcpPorts, udpPorts, ...limits, strikeWindowSeconds, strikes]
  const bytes = [...parts, Uint32Array.of(policy.sources)].map(
    ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
  )
  return Buffer.concat(bytes)
}

async function capturedPackets(): Promise<Uint8Array[]> {
  const files = readdirSync(CAPTURES).filter((file) => /\.pcap(\.gz)?$/.test(file))
  const captures = await Promise.all(files.sort().map((file) => readCapture(`${CAPTURES}${file}`)))
  return captures
    .flatMap(({ packets }) => packets.map(({ bytes }) => bytes))
    .filter((bytes) => !isAnswer(bytes))
}

/** From port 53 to no service: sluice refuses such datagrams, and the path in C knows no DNS. */
function isAnswer(bytes: Uint8Array): boolean {
  const view = new PacketView()
  decode(view, bytes, 0, bytes.length)
  return view.protocol === 17 && view.sourcePort === 53
}
