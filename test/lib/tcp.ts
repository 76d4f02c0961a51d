import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Host } from './lab.ts'

const CLIENT = new URL('tcp-client.mjs', import.meta.url).pathname
const SERVER = new URL('tcp-server.mjs', import.meta.url).pathname

/** What became of one connection. */
export interface Outcome {
  /** Unix milliseconds. */
  readonly startedAt: number
  /** Until it was open, or was given up. */
  readonly ms: number
  readonly ok: boolean
}

export interface ClientOptions {
  readonly to: string
  readonly port: number
  /** An address of the client. */
  readonly from: string
  /** 0: until `close`. */
  readonly count?: number
  /** 0: all at once. */
  readonly everyMs?: number
  readonly timeoutMs?: number
}

/** A client in the namespace of a host that opens connections and closes each as soon as it is open. */
export class TcpClient {
  /** As they become known. */
  readonly outcomes: Outcome[] = []
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown>

  constructor(host: Host, { to, port, from, count = 1, everyMs = 0, timeoutMs = 2000 }: ClientOptions) {
    const args = [CLIENT, to, port, from, count, everyMs, timeoutMs].map(String)
    this.#process = host.spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const lines = createInterface({ input: this.#process.stdout! })
    lines.on('line', (line) => this.outcomes.push(JSON.parse(line) as Outcome))
    this.#ended = once(lines, 'close')
  }

  /** Opens `count` connections and resolves to their outcomes when all are known. */
  static async connect(host: Host, options: ClientOptions): Promise<Outcome[]> {
    const client = new TcpClient(host, options)
    await client.#ended
    return client.outcomes
  }

  async close(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#ended
  }
}

/** How many connections of `options` come to be. */
export async function connections(host: Host, options: ClientOptions): Promise<number> {
  return (await TcpClient.connect(host, options)).filter(({ ok }) => ok).length
}

/** A server on each of `ports` in the namespace of a host, until the lab closes. */
export async function listen(host: Host, ...ports: number[]): Promise<void> {
  const server = host.spawn(process.execPath, [SERVER, ...ports.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(server.stdout!, 'data')
}
