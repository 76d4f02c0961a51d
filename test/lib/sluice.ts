import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { ask } from '../../src/control/requests/client.ts'
import type { Op, Results, StatusReport } from '../../src/control/requests/protocol.ts'
import type { Request } from '../../src/control/requests/requests.ts'
import { eventually } from './eventually.ts'
import type { Host } from './lab.ts'
import type { Scratch } from './scratch.ts'

/** The built program. */
export const PROGRAM = new URL('../../dist/main.js', import.meta.url).pathname

export interface SluiceOptions {
  /** More arguments of `sluice run`. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** A command in front of the program, such as `setpriv`, with its arguments. */
  readonly launcher?: readonly string[]
  readonly program?: string
}

/** `sluice run` in the namespace of a host, with a policy file and a control socket of its own. */
export class Sluice {
  readonly process: ChildProcess
  readonly configFile: string
  readonly socket: string
  /** Resolves to the exit status, or the name of the signal, when it has ended and its output is read. */
  readonly ended: Promise<number | string>
  /** Both streams, as far as they have come. */
  output = ''
  readonly #host: Host
  readonly #scratch: Scratch

  /** Starts it with `policy`, its socket and its state moved here, and waits for nothing. */
  constructor(host: Host, policy: string, options: SluiceOptions = {}) {
    const { args = [], env = {}, launcher = [], program = PROGRAM } = options
    this.#scratch = host.scratch()
    this.#host = host
    this.configFile = this.#scratch.path('sluice.yaml')
    this.socket = this.#scratch.path('control.sock')
    this.write(policy)
    const run = [process.execPath, program, 'run', '--config', this.configFile, ...args]
    const [command = '', ...rest] = [...launcher, ...run]
    this.process = host.spawn(command, rest, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    for (const stream of [this.process.stdout!, this.process.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
      })
    }
    this.ended = once(this.process, 'close').then(([status, signal]) => status ?? signal)
  }

  /** Starts it, and resolves when its chains are in place. @throws Error with its output if it ends before. */
  static async start(host: Host, policy: string, options: SluiceOptions = {}): Promise<Sluice> {
    const sluice = new Sluice(host, policy, options)
    const ended = sluice.ended.then((status) => {
      throw new Error(`sluice has ended with ${status}: ${sluice.output}`)
    })
    const ready = eventually('sluice is ready', () => sluice.status(), { withinMs: 20_000 })
    await Promise.race([ready, ended])
    return sluice
  }

  /** Replaces the policy file; a reload puts it in force. */
  write(policy: string): void {
    const moved = policy
      .replace('socket: /run/sluice/control.sock', `socket: ${this.socket}`)
      .replace('directory: /var/lib/sluice', `directory: ${this.#scratch.path('state')}`)
    const added = [
      /^control:/m.test(policy) ? '' : `control: {socket: ${this.socket}}\n`,
      /^state:/m.test(policy) ? '' : 'state: off\n',
    ].join('')
    writeFileSync(this.configFile, `${moved}\n${added}`)
  }

  /** Asks it over its socket. @throws Failure */
  ask<O extends Op>(request: Extract<Request, { op: O }>): Promise<Results[O]> {
    return ask(this.socket, request)
  }

  status(): Promise<StatusReport> {
    return this.ask({ op: 'status' })
  }

  /** Runs another command of the program against it. */
  cli(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
    return this.#host.attempt(process.execPath, PROGRAM, ...args, '--socket', this.socket)
  }

  /** What it serves at `path` of its metrics port, which only its own host can reach. */
  async http(path: string): Promise<string> {
    const script = `fetch('http://127.0.0.1:9713${path}').then(async (r) => process.stdout.write(await r.text()))`
    const { stdout, stderr, status } = await this.#host.attempt(process.execPath, '-e', script)
    if (status !== 0) throw new Error(stderr)
    return stdout
  }

  /** The value of one metric, such as `sluice_strikes_total{service="ssh"}`. */
  async metric(sample: string): Promise<number> {
    const line = (await this.http('/metrics')).split('\n').find((each) => each.startsWith(`${sample} `))
    if (line === undefined) throw new Error(`no metric ${sample}`)
    return Number(line.slice(sample.length))
  }

  /** Sends `signal` to the daemon itself. */
  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal)
  }

  /** Ends it as an administrator does, and resolves to its exit status. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    this.signal(signal)
    const status = await this.ended
    this.#scratch.close()
    return status
  }
}
