import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { Family } from '../../src/net/prefix.ts'
import { formatPrefix } from '../../src/net/prefix.ts'
import type { Flow } from '../../src/replay/flows/flow-tracker.ts'
import { type Host, Lab } from '../lib/lab.ts'
import { Scratch } from '../lib/scratch.ts'
import { Recorder } from '../record/recorder.ts'
import { readSessions } from './read-sessions.ts'
import type { SshContext } from './ssh-cases.ts'

/** Clients that are at it at the same time. */
const CLIENTS = ['one', 'two', 'three', 'four', 'five', 'six']
/** All headers. */
const SNAP_LENGTH = 128
const LONGEST_SECONDS = 40
/** Of one run: some guessers never stop connecting. */
const MOST_SESSIONS = 12
const PROGRAMS = new URL('programs', import.meta.url).pathname

/** One server to be measured, with everything that is chosen at random. */
export interface Measurement {
  readonly name: string
  readonly family: Family
  readonly random: () => number
  /** From a client to the server and back. */
  readonly roundTripMs: number
  /** Whether the clients use TCP timestamps (RFC 7323): Windows does not. */
  readonly timestamps: boolean
  /** How the names of the cases begin that are to run; `undefined`: all. */
  readonly only: string | undefined
  /** The number of the first run. */
  readonly firstRun: number
}

/** A run of a case, and the sessions that it made. */
export interface Run<Case> {
  readonly case: Case
  readonly number: number
  readonly sessions: readonly Flow[]
}

/** A server's host and a few clients. */
export class SessionRunner {
  readonly lab = Lab.create(['server', ...CLIENTS])
  readonly scratch = new Scratch()
  readonly #measurement: Measurement
  #runs = 0

  constructor(measurement: Measurement) {
    this.#measurement = measurement
    for (const host of this.lab.hosts) {
      // The wire is to see each segment by itself, with its checksum.
      host.run(
        'ethtool',
        '-K',
        'eth0',
        ...(host === this.server ? [] : ['tx', 'off']),
        'tso',
        'off',
        'gso',
        'off',
        'gro',
        'off',
      )
      if (!measurement.timestamps && host !== this.server)
        host.run('sysctl', '-qw', 'net.ipv4.tcp_timestamps=0')
    }
  }

  get server(): Host {
    return this.lab.host('server')
  }

  /** Runs all `cases` in random order, recorded, each with the command that `command` makes of it. */
  async run<Case extends { readonly name: string }>(
    cases: readonly Case[],
    ports: readonly number[],
    command: (
      each: Case,
      context: Pick<SshContext, 'address' | 'host' | 'temporary' | 'wrong' | 'pick' | 'programs'>,
    ) => string,
  ): Promise<Run<Case>[]> {
    const { firstRun, only, roundTripMs } = this.#measurement
    if (roundTripMs > 0) await Promise.all(CLIENTS.map((_, i) => this.#delay(i + 1, roundTripMs / 2)))
    const wanted = cases.filter(({ name }) => name.startsWith(only ?? ''))
    const waiting = this.#shuffled(wanted).map((each, i) => ({ each, number: firstRun + i }))
    const filter = ports.map((port) => `tcp port ${port}`).join(' or ')
    const recorder = await Recorder.start(this.server, filter, SNAP_LENGTH)
    const done: { each: Case; number: number; client: Host; fromMs: number; toMs: number }[] = []
    const work = async (client: Host) => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const context = this.#context()
        const script = command(next.each, context)
        const fromMs = Date.now()
        await client.attempt(
          'setsid',
          '-w',
          // Ends all that the case has started: a client that hangs would hold the output open.
          'timeout',
          '--kill-after=5',
          String(LONGEST_SECONDS),
          'sh',
          '-c',
          `exec 2>/dev/null; ${script}`,
        )
        await new Promise((resolve) => setTimeout(resolve, 150))
        done.push({ ...next, client, fromMs, toMs: Date.now() })
      }
    }
    await Promise.all(CLIENTS.map((name) => work(this.lab.host(name))))
    writeFileSync(this.scratch.path('capture'), await recorder.stop())
    const sessions = await readSessions(this.scratch.path('capture'), ports)
    return done.map(({ each, number, client, fromMs, toMs }) => ({
      case: each,
      number,
      sessions: sessions
        .filter(({ address, startMs }) => {
          const from = formatPrefix(address)
          return (from === client.ipv4 || from === client.ipv6) && startMs >= fromMs && startMs <= toMs
        })
        .slice(0, MOST_SESSIONS),
    }))
  }

  close(): void {
    this.lab.close()
    this.scratch.close()
  }

  /** Puts the `index`-th host of the lab so far away. */
  async #delay(index: number, ms: number): Promise<void> {
    const { server } = this
    const [port, far, near] = [`port${index}`, `far${index}`, `near${index}`]
    server.run('ip', 'link', 'set', port, 'nomaster')
    server.run('ip', 'link', 'add', far, 'type', 'veth', 'peer', 'name', near)
    server.run('ip', 'link', 'set', near, 'master', 'eth0', 'up')
    server.run('ip', 'link', 'set', far, 'up')
    for (const each of [port, far, near])
      server.run('ethtool', '-K', each, 'tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off')
    const args = [`${PROGRAMS}/delay.py`, port, far, String(ms)]
    const relay = server.spawn('/usr/bin/python3', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(relay.stdout!, 'data')
  }

  #context() {
    const { family, random } = this.#measurement
    const { ipv4, ipv6 } = this.server
    const number = this.#runs++
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!
    return {
      address: family === 4 ? ipv4 : ipv6,
      host: family === 4 ? ipv4 : `[${ipv6}]`,
      temporary: (name: string) =>
        name === '' ? this.scratch.directory : this.scratch.path(`${number}-${name}`),
      wrong: () => wrongPassword(random),
      pick,
      programs: PROGRAMS,
    }
  }

  #shuffled<T>(items: readonly T[]): T[] {
    const { random } = this.#measurement
    return items
      .map((item) => ({ item, at: random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ item }) => item)
  }
}

/** Of 3 to 26 letters and digits. */
function wrongPassword(random: () => number): string {
  const length = 3 + Math.floor(random() * 24)
  return Array.from({ length }, () => Math.floor(random() * 36).toString(36)).join('')
}
