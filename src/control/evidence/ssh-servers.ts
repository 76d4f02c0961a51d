import type { LoginModel, OutcomeModel, Policy, Service } from '../../config/policy.ts'
import type { TcpListener } from '../dns/tcp-listeners.ts'
import type { Log } from '../log/log.ts'
import { askSshServer } from './ask-ssh-server.ts'
import { moveBounds } from './moved-bounds.ts'
import type { SshOpening } from './ssh-opening.ts'

/** More sockets for one service are not asked: it is no usual sshd. */
const LISTENERS_MAX = 8
/** One that was started again by systemd's socket has the same listener; and one that was busy answers later. */
const AGAIN_MS = 3600_000
const AGAIN_AFTER_SILENCE_MS = 300_000

/** How the sessions of a service are judged, and why so. */
export interface Judging {
  /** `undefined`: they are not judged. */
  readonly model: OutcomeModel | undefined
  /** For people. */
  readonly why: string
}

export interface SshServersOptions {
  readonly policy: () => Policy
  readonly log: Pick<Log, 'info' | 'warn'>
  /** Monotonic milliseconds. */
  readonly now: () => number
  readonly listeners: () => readonly TcpListener[]
  readonly ask?: (address: string, port: number) => Promise<SshOpening | undefined>
}

interface Answers {
  /** The model that it was asked for. */
  readonly of: LoginModel
  /** The listeners that were asked. */
  readonly key: string
  readonly judging: Judging
  /** Whether there was somebody, and all have answered. */
  readonly isComplete: boolean
  readonly againMs: number
}

/**
 * The models of the services, moved to what the SSH servers of this host really say: a failure ends within a
 * few hundred bytes of the smallest success, and the algorithms of a server alone make a thousand.
 */
export class SshServers {
  readonly #options: SshServersOptions
  readonly #answers = new Map<string, Answers>()
  #running: Promise<void> | undefined

  constructor(options: SshServersOptions) {
    this.#options = options
  }

  /** How sessions of `service` are judged now. */
  judgingOf(service: Service): Judging {
    if (!isAsked(service)) return { model: service.outcome, why: 'by the numbers of the policy' }
    const known = this.#answers.get(service.name)
    return known?.of === service.outcome ? known.judging : judgingBy(service.outcome, [])
  }

  /** Whether some service has no server that has answered. */
  get isWaiting(): boolean {
    const { policy } = this.#options
    return policy().services.some(
      (each) => isAsked(each) && this.#answers.get(each.name)?.isComplete !== true,
    )
  }

  /** Asks those that are new, or were not asked for long. Never rejects. */
  refresh(): Promise<void> {
    this.#running ??= this.#refresh().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #refresh(): Promise<void> {
    const { policy, now, listeners } = this.#options
    const asked = policy().services.filter(isAsked)
    for (const name of this.#answers.keys())
      if (!asked.some((service) => service.name === name)) this.#answers.delete(name)
    if (asked.length === 0) return
    const all = listeners()
    for (const service of asked) {
      const own = all.filter(({ port }) => serves(service, port))
      const key = own.map(({ port, inode }) => `${port} ${inode}`).join()
      const known = this.#answers.get(service.name)
      if (known?.of === service.outcome && known.key === key && now() < known.againMs) continue
      await this.#ask(service, own, key)
    }
  }

  async #ask({ name, outcome }: AskedService, own: readonly TcpListener[], key: string): Promise<void> {
    const { ask = askSshServer, now, log } = this.#options
    const openings =
      own.length > LISTENERS_MAX
        ? [undefined]
        : await Promise.all(own.map(({ address, port }) => ask(address, port)))
    const judging = judgingBy(outcome, openings)
    const isComplete = openings.length > 0 && !openings.includes(undefined)
    const againMs = now() + (isComplete ? AGAIN_MS : AGAIN_AFTER_SILENCE_MS)
    const before = this.#answers.get(name)
    const isSame = before?.of === outcome && before.key === key
    // The same program is too busy to answer: an attack must not have it judged more mildly.
    if (isSame && before.isComplete && !isComplete) {
      this.#answers.set(name, { ...before, againMs })
      return
    }
    this.#answers.set(name, { of: outcome, key, judging, isComplete, againMs })
    if (judging.why === before?.judging.why) return
    const message = `sessions of ${name} are judged ${judging.why}`
    if (judging.model === undefined) log.warn('outcome-bounds', message)
    else log.info('outcome-bounds', message)
  }
}

type AskedService = Service & { readonly outcome: LoginModel }

function isAsked(service: Service): service is AskedService {
  return service.outcome?.kind === 'ssh' && service.outcome.openingBytes !== undefined
}

function serves({ ports }: Service, port: number): boolean {
  return ports.some(({ protocol, first, last }) => protocol === 'tcp' && first <= port && port <= last)
}

/** Of several servers behind one service the lowest bounds hold: no success of any may be called failed. */
function judgingBy(model: LoginModel, openings: readonly (SshOpening | undefined)[]): Judging {
  const known = openings.filter((opening) => opening !== undefined)
  if (known.length === 0 || known.length < openings.length) {
    const who =
      known.length === 0 ? 'no SSH server of this host has answered' : 'not all servers have answered'
    const why = `without ever calling one failed: ${who} (with askServer: false the numbers of the policy hold)`
    return { model: { ...model, failedBytes: 0, largeFailedBytes: 0 }, why }
  }
  const moved = known.map((opening) => moveBounds(model, opening))
  const foreign = known[moved.indexOf(undefined)]
  if (foreign !== undefined) {
    return {
      model: undefined,
      why: `not at all: the server is ${foreign.software}, for which no model was measured`,
    }
  }
  const all = moved.filter((each) => each !== undefined)
  const careful: LoginModel = {
    ...model,
    leastBytes: Math.max(...all.map(({ leastBytes }) => leastBytes)),
    failedBytes: Math.min(...all.map(({ failedBytes }) => failedBytes)),
    largeLeastBytes: Math.max(...all.map(({ largeLeastBytes }) => largeLeastBytes)),
    largeFailedBytes: Math.min(...all.map(({ largeFailedBytes }) => largeFailedBytes)),
    succeededBytes: Math.max(...all.map(({ succeededBytes }) => succeededBytes)),
  }
  return { model: careful, why: [...new Set(known.map(describe))].join(', and ') }
}

function describe({ software, bytes, hostKeyAlgorithms }: SshOpening): string {
  return `for ${software} as it is here: it begins with ${bytes} bytes, and has host keys for ${hostKeyAlgorithms.join(', ')}`
}
