import { FLOW_EVENT_COUNTERS, FlowEvents } from '../../kernel/flow-events.ts'
import { assuredFlows, type Flows } from '../../kernel/flows.ts'
import { NetlinkError } from '../../kernel/netlink-error.ts'
import { PortSet } from '../../kernel/port-set.ts'
import type { Log } from '../log/log.ts'
import { type SessionNews, SessionTracker, type SessionTrackerOptions } from './session-tracker.ts'

/** A close is known within this, and a proof at the latest. */
const PAUSE_MS = 1000
/** While events come and no session is open: a look at nothing still walks through conntrack's whole table. */
const IDLE_PAUSE_MS = 5000
/** After an event, or when a proof is wanted: long enough for one look to answer many. */
const SHORT_PAUSE_MS = 200
/** A look that takes long makes the next one wait: at most one part in so many of a core goes to looking. */
const SHORT_SHARE = 50
const SHARE = 10

export interface SessionWatchOptions extends SessionTrackerOptions {
  /** TCP ports of the services. */
  readonly ports: readonly { readonly first: number; readonly last: number }[]
  readonly log: Pick<Log, 'warn' | 'info'>
  readonly onNews: (news: SessionNews) => void
}

/**
 * Sees the sessions of our services by conntrack, without reading a packet: its events say that there is
 * something new, and a look at all assured flows, each second and soon after an event, says what is true.
 * So lost events cost a second, and a host without events loses nothing else.
 */
export class SessionWatch {
  /** Looks at the flows, and the time that they took. */
  looks = 0
  lookMs = 0
  /** Looks that the kernel refused. */
  failures = 0
  readonly tracker: SessionTracker
  readonly #options: SessionWatchOptions
  #ports: PortSet
  #events: FlowEvents | undefined
  #eventsProblem: string | undefined
  #problem: string | undefined
  #timer: NodeJS.Timeout | undefined
  #dueMs = 0
  #lastMs = 0
  #overruns = 0
  #isClosed = false

  /** Listens. Sessions are seen from `start` on. */
  constructor(options: SessionWatchOptions) {
    this.#options = options
    this.tracker = new SessionTracker(options)
    this.#ports = new PortSet(options.ports)
    try {
      this.#events = new FlowEvents(this.#ports, (flows) => this.#hear(flows))
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error
      this.#eventsProblem = error.message
    }
  }

  start(): void {
    this.#look()
  }

  /** Why no session and no proof can be seen at all; `undefined`: they can. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Why events do not come, though sessions are seen. */
  get eventsProblem(): string | undefined {
    return this.#eventsProblem
  }

  /** One of FLOW_EVENT_COUNTERS. */
  eventCounter(name: (typeof FLOW_EVENT_COUNTERS)[number]): number {
    return this.#events?.counters[FLOW_EVENT_COUNTERS.indexOf(name)] ?? 0
  }

  /** From now on, sessions at `ports`. */
  set ports(ports: SessionWatchOptions['ports']) {
    this.#ports = new PortSet(ports)
    this.#events?.listenTo(this.#ports)
  }

  /** Looks soon, as somebody waits for a proof. */
  hurry(): void {
    this.#schedule(Math.max(SHORT_PAUSE_MS, this.#lastMs * SHORT_SHARE))
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#events?.close()
    this.#events = undefined
  }

  #hear(flows: Flows): void {
    if (this.#isClosed) return
    const news = this.tracker.destroyed(flows)
    if (news.closed.length > 0 || news.assured.length > 0) this.#options.onNews(news)
    this.hurry()
  }

  #look(): void {
    const { now, onNews, log } = this.#options
    const startMs = now()
    let news: SessionNews | undefined
    try {
      news = this.tracker.look(assuredFlows(this.#ports))
      if (this.#problem !== undefined) log.info('sessions-seen', 'sessions are seen again')
      this.#problem = undefined
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error
      this.failures++
      if (this.#problem === undefined && this.looks > 0) {
        log.warn('sessions-unseen', `sessions are not seen: ${error.message}`)
      }
      this.#problem = error.message
    }
    this.#lastMs = now() - startMs
    this.looks++
    this.lookMs += this.#lastMs
    this.#schedule(Math.max(this.#isIdle() ? IDLE_PAUSE_MS : PAUSE_MS, this.#lastMs * SHARE))
    // Whoever guesses comes back a second after his passwords were refused.
    if (this.tracker.hasYoung) this.hurry()
    if (news === undefined) return
    if (news.assured.length + news.closed.length + news.succeeded.length > 0) onNews(news)
  }

  #isIdle(): boolean {
    const overruns = this.eventCounter('overruns')
    const isComplete = overruns === this.#overruns
    this.#overruns = overruns
    return this.#events !== undefined && isComplete && this.tracker.size === 0
  }

  /** Looks after `pauseMs`, unless it will before. */
  #schedule(pauseMs: number): void {
    const dueMs = this.#options.now() + pauseMs
    if (this.#isClosed || (this.#timer !== undefined && this.#dueMs <= dueMs)) return
    clearTimeout(this.#timer)
    this.#dueMs = dueMs
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#look()
    }, pauseMs).unref()
  }
}
