import type { CompiledPolicy } from './compile.ts'
import { NO_SERVICE } from './service-slots.ts'

const TCP = 6
const UDP = 17
const DNS = 53

/** Of each kind so many. */
const VARIANTS = 48

const HEADER = { query: [1, 0, 0, 1, 0, 0, 0, 0, 0, 0], answer: [0x81, 0, 0, 1, 0, 0, 0, 0, 0, 0] }
const TWO_QUESTIONS = [1, 0, 0, 2, 0, 0, 0, 0, 0, 0]
const A = [0, 1, 0, 1]
/** As Linux sends them: segment size, SACK, timestamps, window scale. */
const OPTIONS = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]
const PTR = [0, 12, 0, 1]

type Random = () => number

/** Packets of each kind that the path tells apart, mixed, for the services of `policy`: what `warmUp` judges. */
export function samplePackets(policy: CompiledPolicy): Uint8Array[] {
  const random = xorshift()
  const kinds: ((family: 4 | 6) => number[])[] = []
  for (let slot = 0; slot < NO_SERVICE; slot++) {
    const tcpPort = policy.tcpPorts.indexOf(slot)
    const udpPort = policy.udpPorts.indexOf(slot)
    if (tcpPort >= 0) kinds.push((family) => ip(family, TCP, syn(tcpPort, random), random))
    if (udpPort < 0) continue
    for (const payload of policy.isDns[slot] === 1 ? QUERIES : [() => [0]])
      kinds.push((family) =>
        ip(family, UDP, datagram(1024 + (random() & 0x7fff), udpPort, payload(random)), random),
      )
  }
  const elsewhere = policy.udpPorts.indexOf(NO_SERVICE)
  const answer = () => dns(HEADER.answer, ['example', 'org'], A)
  kinds.push((family) => ip(family, UDP, datagram(DNS, elsewhere, answer()), random))
  return Array.from({ length: VARIANTS }, (_, i) => kinds.map((kind) => kind(i % 2 === 0 ? 4 : 6)))
    .flat()
    .map((bytes) => Uint8Array.from(bytes))
}

/** Reverse ones weigh more: they have the longest way. Most of IPv4 are of one network: who asks for enough of them walks. */
const QUERIES: readonly ((random: Random) => number[])[] = [
  (random) => dns(HEADER.query, [`n${random()}`, 'example', 'org'], A),
  (random) => dns(HEADER.query, [...octets(random, 4), 'in-addr', 'arpa'], PTR),
  (random) => dns(HEADER.query, [...octets(random, 2), '168', '192', 'in-addr', 'arpa'], PTR),
  (random) => dns(HEADER.query, [...octets(random, 2), '168', '192', 'in-addr', 'arpa'], PTR),
  (random) => dns(HEADER.query, [...nibbles(random, 32), 'ip6', 'arpa'], PTR),
  (random) => dns(HEADER.query, [...nibbles(random, 12), 'ip6', 'arpa'], PTR),
  () => dns(TWO_QUESTIONS, ['example'], A),
]

function ip(family: 4 | 6, protocol: number, payload: readonly number[], random: Random): number[] {
  const source = [10, random() & 255, random() & 255, 1]
  if (family === 4) {
    const length = 20 + payload.length
    return [0x45, 0, ...word(length), 0, 0, 0, 0, 64, protocol, 0, 0, ...source, 192, 0, 2, 1, ...payload]
  }
  const from = [0x20, 1, 0x0d, 0xb8, ...source, ...Array(8).fill(1)]
  return [0x60, 0, 0, 0, ...word(payload.length), protocol, 64, ...from, ...Array(16).fill(2), ...payload]
}

function syn(port: number, random: Random): number[] {
  const sequence = [...word(random()), ...word(random())]
  return [
    ...word(1024 + (random() & 0x7fff)),
    ...word(port),
    ...sequence,
    0,
    0,
    0,
    0,
    0xa0,
    2,
    4,
    0,
    0,
    0,
    0,
    0,
    ...OPTIONS,
  ]
}

function datagram(from: number, to: number, payload: readonly number[]): number[] {
  return [...word(from), ...word(to), ...word(8 + payload.length), 0, 0, ...payload]
}

function dns(header: readonly number[], labels: readonly string[], question: readonly number[]): number[] {
  const name = labels.flatMap((label) => [label.length, ...Buffer.from(label, 'latin1')])
  return [0, 0, ...header, ...name, 0, ...question]
}

function octets(random: Random, count: number): string[] {
  return Array.from({ length: count }, () => `${random() & 255}`)
}

function nibbles(random: Random, count: number): string[] {
  return Array.from({ length: count }, () => (random() & 15).toString(16))
}

function word(value: number): [number, number] {
  return [(value >> 8) & 255, value & 255]
}

/** Marsaglia's xorshift: 32 bits, the same in each run. */
export function xorshift(): Random {
  let state = 2_463_534_242
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}
