import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Host } from '../../lib/lab.ts'

/** A program of ours that says `ready`, and then answers each line with a line of numbers. */
export class Talker {
  readonly process: ChildProcess
  readonly #lines: AsyncIterator<string>

  private constructor(process: ChildProcess) {
    this.process = process
    this.#lines = createInterface({ input: process.stdout! })[Symbol.asyncIterator]()
  }

  /** @throws Error if it ends before it is ready. */
  static async start(host: Host, command: string, args: readonly string[]): Promise<Talker> {
    const talker = new Talker(host.spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] }))
    const line = await talker.#lines.next()
    if (line.value !== 'ready') throw new Error(`${command} ${args.join(' ')} is not ready: ${line.value}`)
    return talker
  }

  get pid(): number {
    return this.process.pid!
  }

  say(line: string): void {
    this.process.stdin!.write(`${line}\n`)
  }

  /** @throws Error if it ends instead. */
  async hear(): Promise<number[]> {
    const { done, value } = await this.#lines.next()
    if (done) throw new Error(`process ${this.pid} has ended with ${this.process.exitCode}`)
    return value.split(' ').map(Number)
  }

  async close(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const ended = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await ended
  }
}
