import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../lib/eventually.ts'
import type { Host } from '../lib/lab.ts'
import { Scratch } from '../lib/scratch.ts'

/** For what is still on its way when the traffic ends. */
const TAIL_MS = 500

/** tcpdump on `eth0` of a host: what it sends and receives, but not what a bridge carries past it. */
export class Recorder {
  readonly #scratch = new Scratch()
  readonly #process: ChildProcess
  #said = ''

  private constructor(host: Host, filter: string, snapLength: number) {
    // Immediate mode: else, packets that wait in its buffer when it is stopped are lost, and not counted.
    const where = ['-i', 'eth0', '-p', '--immediate-mode', '-B', '16384']
    const what = ['-s', String(snapLength), '-w', this.#file, filter]
    this.#process = host.spawn('tcpdump', ['-Z', 'root', ...where, ...what], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#process.stderr!.on('data', (text) => {
      this.#said += text
    })
  }

  /** Resolves when it records. `filter`: as tcpdump has it. */
  static async start(host: Host, filter: string, snapLength: number): Promise<Recorder> {
    const recorder = new Recorder(host, filter, snapLength)
    await eventually('tcpdump listens', () => recorder.#said.includes('listening on'))
    return recorder
  }

  get #file(): string {
    return this.#scratch.path('pcap')
  }

  /** The bytes of the capture. @throws Error if tcpdump has missed a packet. */
  async stop(): Promise<Buffer> {
    await sleep(TAIL_MS)
    this.#process.kill('SIGINT')
    await once(this.#process, 'close')
    if (!this.#said.includes('\n0 packets dropped by kernel')) throw new Error(`tcpdump: ${this.#said}`)
    const bytes = readFileSync(this.#file)
    this.#scratch.close()
    return bytes
  }
}
