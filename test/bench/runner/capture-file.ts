import { closeSync, openSync, writeSync } from 'node:fs'
import { packet } from '../../lib/packets.ts'
import { seeded } from '../../record/random.ts'

/** The host whose traffic the captures hold. */
export const SERVER = '192.0.2.1'

const ACK = 0x10
const SYN_ACK = 0x12
const RAW_IP = 101
const BATCH = 10_000
const RECORD_HEADER_BYTES = 16
const LARGEST = 1500

/** Where things are in an IPv4 packet with a TCP header. */
const LENGTH = 2
const SOURCE = 12
const DESTINATION = 16
const PORTS = 20
const SEQUENCE = 24

/** Every so many packets one asks for a connection; the others carry `payload` bytes of open ones. From 10,000 sources. */
export function writeAttempts(path: string, packets: number, synEvery: number, payload: number): void {
  const attempt = packet({ from: '100.64.0.0', to: SERVER, port: 22 })
  const data = packet({
    from: '100.64.0.0',
    to: SERVER,
    port: 22,
    tcpFlags: ACK,
    payload: new Uint8Array(payload),
  })
  writeCapture(path, packets, (n, into) => {
    const bytes = n % synEvery === 0 ? attempt : data
    into.set(bytes)
    into.writeUInt32BE(0x64400000 + (n % 10_000), SOURCE)
    into.writeUInt32BE(n, SEQUENCE)
    return bytes.length
  })
}

/** One of those that go on at the same time. */
interface Conversation {
  readonly client: number
  readonly clientPort: number
  readonly port: number
  /** So far. */
  packets: number
}

const CONVERSATIONS = 200
/** Most of what a host carries is none of sluice's business: three of twelve have a service in the shipped policy. */
const SERVED_PORTS = [443, 443, 443, 443, 443, 443, 443, 80, 993, 22, 25, 587]

/**
 * Traffic as a host has it, the same each time: of 200 connections at a time, each 200 packets long by and large, to ports
 * most of which no service has. Half of the packets are bare acknowledgements, a third are full, 650 bytes on average.
 */
export function writeTraffic(path: string, packets: number): void {
  const random = seeded(1)
  const open = Array.from({ length: CONVERSATIONS }, () => begin(random))
  const template = packet({ from: SERVER, port: 1, tcpFlags: ACK, payload: new Uint8Array(LARGEST - 40) })
  const bare = template.subarray(0, 40)
  const server = Buffer.from(template).readUInt32BE(SOURCE)
  writeCapture(path, packets, (_, into) => {
    const slot = Math.floor(random() * CONVERSATIONS)
    if (random() < 1 / CONVERSATIONS) open[slot] = begin(random)
    const conversation = open[slot]!
    const { client, clientPort, port } = conversation
    const handshake = [0x02, SYN_ACK, ACK][conversation.packets]
    const isFromServer = handshake === undefined ? random() < 0.6 : handshake === SYN_ACK
    const length = handshake === undefined ? lengthOf(random()) : 40
    into.set(length === 40 ? bare : template.subarray(0, length))
    into.writeUInt16BE(length, LENGTH)
    into.writeUInt32BE(isFromServer ? server : client, SOURCE)
    into.writeUInt32BE(isFromServer ? client : server, DESTINATION)
    into.writeUInt16BE(isFromServer ? port : clientPort, PORTS)
    into.writeUInt16BE(isFromServer ? clientPort : port, PORTS + 2)
    into.writeUInt32BE(conversation.packets, SEQUENCE)
    into[33] = handshake ?? ACK
    conversation.packets++
    return length
  })
}

function begin(random: () => number): Conversation {
  return {
    client: (0x64400000 + Math.floor(random() * 2 ** 16)) >>> 0,
    clientPort: 1024 + Math.floor(random() * 60_000),
    port: SERVED_PORTS[Math.floor(random() * SERVED_PORTS.length)]!,
    packets: 0,
  }
}

/** Of an IP packet. @param draw from 0 to 1 */
function lengthOf(draw: number): number {
  if (draw < 0.5) return 40
  return draw < 0.85 ? LARGEST : 41 + Math.floor(((draw - 0.85) / 0.15) * (LARGEST - 41))
}

/**
 * A pcap file of raw IP, ten thousand packets a second.
 *
 * @param fill writes the n-th packet to the beginning of a buffer of `LARGEST` bytes, and says how long it is
 */
function writeCapture(path: string, packets: number, fill: (n: number, into: Buffer) => number): void {
  const file = openSync(path, 'w')
  const header = Buffer.alloc(24)
  // Magic, version 2.4, snapshot length, link type.
  header.writeUInt32LE(0xa1b2c3d4)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(65_535, 16)
  header.writeUInt32LE(RAW_IP, 20)
  writeSync(file, header)
  const batch = Buffer.alloc(BATCH * (RECORD_HEADER_BYTES + LARGEST))
  for (let first = 0; first < packets; first += BATCH) {
    let at = 0
    for (let i = 0; i < Math.min(BATCH, packets - first); i++) {
      const data = at + RECORD_HEADER_BYTES
      const length = fill(first + i, batch.subarray(data, data + LARGEST))
      batch.writeUInt32LE(1_700_000_000 + first / BATCH, at)
      batch.writeUInt32LE(i * 100, at + 4)
      batch.writeUInt32LE(length, at + 8)
      batch.writeUInt32LE(length, at + 12)
      at = data + length
    }
    writeSync(file, batch.subarray(0, at))
  }
  closeSync(file)
}
