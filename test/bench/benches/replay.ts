import { execFileSync } from 'node:child_process'
import { closeSync, openSync, writeSync } from 'node:fs'
import { packet } from '../../lib/packets.ts'
import { PROGRAM } from '../../lib/sluice.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import type { Stage } from '../runner/stage.ts'

const SHIPPED = new URL('../../../rules/sluice.yaml', import.meta.url).pathname
const SERVER = '192.0.2.1'
const SOURCES = 10_000
const ACK = 0x10

interface Capture {
  readonly name: string
  readonly packets: number
  /** Every so many packets one asks for a connection; the others carry `payload` bytes of open ones. */
  readonly synEvery: number
  readonly payload: number
}

const CAPTURES: readonly Capture[] = [
  { name: '2,000,000 SYNs', packets: 2_000_000, synEvery: 1, payload: 0 },
  { name: '500,000 packets, 1 SYN in 20', packets: 500_000, synEvery: 20, payload: 512 },
]

export const replay: Bench = {
  name: 'replay',
  question: 'how long does a large capture take, from the file to verdicts and the table?',
  metrics: {
    seconds: { unit: 's', isCost: true },
    packetsPerSecond: { unit: 'k/s', unitSize: 1000 },
  },
  targets: [{ metric: 'seconds', of: { contestant: 'sluice' }, over: { contestant: 'tcpdump' }, atMost: 2 }],
  *cases(stage: Stage): Generator<Case> {
    const file = stage.path('capture.pcap')
    for (const capture of CAPTURES) {
      write(file, capture)
      const ours = [PROGRAM, 'replay', '--config', SHIPPED, '--json', file, '--local', SERVER]
      yield {
        name: capture.name,
        contestants: new Map([
          ['sluice', () => time(capture, process.execPath, ours)],
          ['tcpdump', () => time(capture, 'tcpdump', ['-Z', 'root', '-r', file, '-w', '/dev/null'])],
        ]),
      }
    }
  },
}

function time({ packets }: Capture, command: string, args: readonly string[]): Figures {
  const started = performance.now()
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], maxBuffer: 2 ** 24 })
  const seconds = (performance.now() - started) / 1000
  return { seconds, packetsPerSecond: packets / seconds }
}

/** A pcap file of raw IP, ten thousand packets a second. */
function write(path: string, { packets, synEvery, payload }: Capture): void {
  const attempt = packet({ from: '100.64.0.0', to: SERVER, port: 22 })
  const data = packet({
    from: '100.64.0.0',
    to: SERVER,
    port: 22,
    tcpFlags: ACK,
    payload: new Uint8Array(payload),
  })
  const file = openSync(path, 'w')
  const header = Buffer.alloc(24)
  // Magic, version 2.4, snapshot length, LINKTYPE_RAW.
  header.writeUInt32LE(0xa1b2c3d4)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(65_535, 16)
  header.writeUInt32LE(101, 20)
  writeSync(file, header)
  for (let first = 0; first < packets; first += 10_000) {
    const records = Array.from({ length: 10_000 }, (_, i) => {
      const n = first + i
      return record(n % synEvery === 0 ? attempt : data, n)
    })
    writeSync(file, Buffer.concat(records))
  }
  closeSync(file)
}

function record(bytes: Uint8Array, n: number): Buffer {
  const whole = Buffer.alloc(16 + bytes.length)
  whole.writeUInt32LE(1_700_000_000 + Math.floor(n / 10_000))
  whole.writeUInt32LE((n % 10_000) * 100, 4)
  whole.writeUInt32LE(bytes.length, 8)
  whole.writeUInt32LE(bytes.length, 12)
  whole.set(bytes, 16)
  whole.writeUInt32BE(0x64400000 + (n % SOURCES), 16 + 12)
  whole.writeUInt32BE(n, 16 + 24)
  return whole
}
