import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { Host } from './lab.ts'
import type { Scratch } from './scratch.ts'

/** THC Hydra guessing the password of a user that does not exist. It never gives up until `close`. */
export class Hydra {
  #process: ChildProcess | undefined
  #isClosed = false
  readonly #scratch: Scratch
  readonly #ended: Promise<void>

  /**
   * @param target such as `ssh://192.0.2.10` or `smtp://[2001:db8::1]:587`.
   * @param tasks how many connections at a time: four, as its manual advises for SSH.
   */
  constructor(host: Host, target: string, tasks = 4) {
    this.#scratch = host.scratch()
    const passwords = this.#scratch.path('passwords')
    writeFileSync(passwords, Array.from({ length: 100_000 }, (_, i) => `guess-${i}\n`).join(''))
    const family = target.includes('[') ? ['-6'] : []
    // One second for an answer, before it tries anew.
    const pace = ['-t', String(tasks), '-w', '1']
    this.#ended = this.#repeat(host, ['-I', '-q', '-l', 'admin', '-P', passwords, ...pace, ...family, target])
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const pid = this.#process?.pid
    // It is a group of processes.
    if (pid !== undefined && this.#process?.exitCode === null) process.kill(-pid, 'SIGKILL')
    await this.#ended
    this.#scratch.close()
  }

  async #repeat(host: Host, args: readonly string[]): Promise<void> {
    while (!this.#isClosed) {
      // It writes hydra.restore to where it runs.
      const cwd = this.#scratch.directory
      this.#process = host.spawn('hydra', args, { stdio: 'ignore', cwd, detached: true })
      await once(this.#process, 'exit')
    }
  }
}
