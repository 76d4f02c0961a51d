import { execFileSync } from 'node:child_process'
import { PROGRAM } from '../../lib/sluice.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { SERVER, writeAttempts, writeTraffic } from '../runner/capture-file.ts'
import { childCpu } from '../runner/cpu.ts'
import type { Stage } from '../runner/stage.ts'

const SHIPPED = new URL('../../../rules/sluice.yaml', import.meta.url).pathname

interface Capture {
  readonly name: string
  readonly packets: number
  readonly write: (path: string, packets: number) => void
}

const CAPTURES: readonly Capture[] = [
  {
    name: '2,000,000 SYNs',
    packets: 2_000_000,
    write: (path, packets) => writeAttempts(path, packets, 1, 0),
  },
  {
    name: '500,000 packets, 1 SYN in 20',
    packets: 500_000,
    write: (path, packets) => writeAttempts(path, packets, 20, 512),
  },
  { name: '3,000,000 packets of 650 bytes, as they come', packets: 3_000_000, write: writeTraffic },
]

export const replay: Bench = {
  name: 'replay',
  question: 'how long does a large capture take, from the file to verdicts and the table?',
  metrics: {
    seconds: { unit: 's', isCost: true },
    cpuSeconds: { unit: 's', isCost: true },
    packetsPerSecond: { unit: 'k/s', unitSize: 1000 },
  },
  targets: [
    { metric: 'seconds', of: { contestant: 'sluice' }, over: { contestant: 'tcpdump' }, atMost: 2 },
    { metric: 'cpuSeconds', of: { contestant: 'sluice' }, over: { contestant: 'tcpdump' } },
  ],
  *cases(stage: Stage): Generator<Case> {
    const file = stage.path('capture.pcap')
    for (const { name, packets, write } of CAPTURES) {
      write(file, packets)
      const ours = [PROGRAM, 'replay', '--config', SHIPPED, '--json', file, '--local', SERVER]
      yield {
        name,
        contestants: new Map([
          ['sluice', () => time(packets, process.execPath, ours)],
          ['tcpdump', () => time(packets, 'tcpdump', ['-Z', 'root', '-r', file, '-w', '/dev/null'])],
        ]),
      }
    }
  },
}

function time(packets: number, command: string, args: readonly string[]): Figures {
  const started = performance.now()
  const cpuBefore = childCpu()
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], maxBuffer: 2 ** 24 })
  const seconds = (performance.now() - started) / 1000
  return { seconds, cpuSeconds: childCpu() - cpuBefore, packetsPerSecond: packets / seconds }
}
