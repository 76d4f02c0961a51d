import { FLOW_EVENT_COUNTERS, FlowEvents } from '../../kernel/flow-events.ts'
import { assuredFlows, type Flows, flowsOf } from '../../kernel/flows.ts'
import { NetlinkError } from '../../kernel/netlink-error.ts'
import { PortSet } from '../../kernel/port-set.ts'
import type { Log } from '../log/log.ts'
import { type SessionNews, SessionTracker, type SessionTrackerOptions } from './session-tracker.ts'

/** A close is known within this. */
const PAUSE_MS = 1000
/** All flows are looked at so often, in case that events of some were lost, or never made. */
const WHOLE_PAUSE_MS = 5000
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
 * something new, and a look, each second and soon after an event, says what is true. Most looks ask for those
 * flows that go on or that events have named, which costs microseconds. A look at all flows has the kernel walk
 * through its whole table, 10 to 20 ms of a core that may be the packets', however few there are: it is for what
 * events cannot tell, each five seconds and where there is reason to think that some are missing. So lost events
 * cost a second, and a host without events loses nothing else.
 */
export class SessionWatch {
  /** Looks at the flows, those of them that were at all flows, and the time that they took. */
  looks = 0
  wholeLooks = 0
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
  /** When the next look at all flows is due, when the last one ended, and the time that it took. */
  #wholeDueMs = Number.NEGATIVE_INFINITY
  #wholeAtMs = Number.NEGATIVE_INFINITY
  #wholeMs = 0
  /** The time that the last look at some took. */
  #partMs = 0
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
    this.#wantWhole(SHORT_PAUSE_MS)
    this.#schedule(this.#wholeDueMs - this.#options.now())
  }

  /** Looks soon at what is open and what is new. */
  hurry(): void {
    this.#schedule(Math.min(Math.max(SHORT_PAUSE_MS, this.#partMs * SHORT_SHARE), this.#pauseMs))
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#events?.close()
    this.#events = undefined
  }

  #hear(flows: Flows): void {
    if (this.#isClosed) return
    this.#tell(this.tracker.hear(flows))
    this.hurry()
  }

  #look(): void {
    const { now } = this.#options
    const { tuples } = this.tracker
    if (tuples === undefined || this.#hasLostEvents()) this.#wantWhole(0)
    if (now() >= this.#wholeDueMs) {
      this.#wholeMs = this.#attempt(() => this.tracker.look(assuredFlows(this.#ports)))
      this.#wholeAtMs = now()
      this.#wholeDueMs = this.#wholeAtMs + Math.max(WHOLE_PAUSE_MS, this.#wholeMs * SHARE)
      this.wholeLooks++
      // Where the kernel has refused a look, only one at all flows says that sessions are seen again.
    } else if (tuples !== undefined && this.#problem === undefined) {
      this.#partMs = this.#attempt(() => this.tracker.lookAtSome(flowsOf(tuples)))
    }
    if (this.#events === undefined || this.#problem !== undefined) this.#wantWhole(0)
    this.#schedule(this.#wholeDueMs - now())
    if (this.tracker.open > 0) this.#schedule(this.#pauseMs)
    // Whoever guesses comes back a second after his passwords were refused.
    if (this.tracker.changesSoon) this.hurry()
  }

  /** Between looks at some, at the longest. */
  get #pauseMs(): number {
    return Math.max(PAUSE_MS, this.#partMs * SHARE)
  }

  /** Looks, tells what is new, and returns how long the look took. */
  #attempt(look: () => SessionNews): number {
    const { now, log } = this.#options
    const startMs = now()
    let news: SessionNews | undefined
    try {
      news = look()
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
    const tookMs = now() - startMs
    this.looks++
    this.lookMs += tookMs
    if (news !== undefined) this.#tell(news)
    return tookMs
  }

  /** Makes a look at all flows due in `pauseMs`, but not too soon after the last one. */
  #wantWhole(pauseMs: number): void {
    const earliestMs = this.#wholeAtMs + Math.max(PAUSE_MS, this.#wholeMs * SHARE)
    this.#wholeDueMs = Math.min(this.#wholeDueMs, Math.max(this.#options.now() + pauseMs, earliestMs))
  }

  #hasLostEvents(): boolean {
    const overruns = this.eventCounter('overruns')
    const hasLost = overruns !== this.#overruns
    this.#overruns = overruns
    return hasLost
  }

  #tell(news: SessionNews): void {
    if (news.assured.length + news.closed.length + news.succeeded.length > 0) this.#options.onNews(news)
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
