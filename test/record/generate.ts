import { ethernet, type PcapRecord } from '../lib/capture-files.ts'
import { type PacketFields, packet } from '../lib/packets.ts'
import { SERVER } from '../lib/scene.ts'
import { seeded } from './random.ts'

const START_SECONDS = 1_700_000_000
const UDP = 17

/** `count` SYNs for sshd within `seconds`, each from another address of 198.18.0.0/15 (RFC 2544). */
export function synFlood(count: number, seconds: number): PcapRecord[] {
  const random = seeded(22)
  return Array.from({ length: count }, (_, i) =>
    record((i / count) * seconds, {
      from: benchmarkAddress(Math.floor(random() * 2 ** 17)),
      sourcePort: port(random),
      port: 22,
      sequence: Math.floor(random() * 2 ** 32),
    }),
  )
}

/** `count` PTR queries for random names within `seconds`, from 1,000 addresses of 198.18.0.0/15. */
export function ptrFloodFromMany(count: number, seconds: number): PcapRecord[] {
  const random = seeded(1000)
  const sources = Array.from({ length: 1000 }, (_, i) => benchmarkAddress(i * 131))
  return Array.from({ length: count }, (_, i) =>
    record((i / count) * seconds, {
      from: sources[Math.floor(random() * sources.length)]!,
      sourcePort: port(random),
      port: 53,
      protocol: 'udp',
      payload: ptrQuery(Math.floor(random() * 2 ** 16), Math.floor(random() * 2 ** 17)),
    }),
  )
}

/** The `index`-th address of 198.18.0.0/15. */
export function benchmarkAddress(index: number): string {
  return `198.${18 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`
}

function port(random: () => number): number {
  return 1024 + Math.floor(random() * 64_512)
}

function record(atSeconds: number, fields: PacketFields): PcapRecord {
  const bytes = withChecksums(packet({ to: SERVER[4], ...fields }))
  const microseconds = Math.round(atSeconds * 1e6)
  return {
    seconds: START_SECONDS + Math.floor(microseconds / 1e6),
    fraction: microseconds % 1e6,
    bytes: ethernet(bytes),
  }
}

/** RFC 1035, 4.1: a header that wants recursion, and one question. */
function ptrQuery(id: number, index: number): Buffer {
  const name = `${benchmarkAddress(index).split('.').reverse().join('.')}.in-addr.arpa`
  const labels = name.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`))
  const header = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, 12, 0, 1])])
}

/** The IPv4 packet with its checksums, without which a kernel would not take it for a new connection. */
function withChecksums(bytes: Uint8Array): Buffer {
  const whole = Buffer.from(bytes)
  const transport = whole.subarray(20)
  const protocol = whole[9]!
  const pseudo = Buffer.alloc(12)
  whole.copy(pseudo, 0, 12, 20)
  pseudo[9] = protocol
  pseudo.writeUInt16BE(transport.length, 10)
  transport.writeUInt16BE(checksum(Buffer.concat([pseudo, transport])), protocol === UDP ? 6 : 16)
  whole.writeUInt16BE(checksum(whole.subarray(0, 20)), 10)
  return whole
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i++) sum += i % 2 === 0 ? bytes[i]! << 8 : bytes[i]!
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
