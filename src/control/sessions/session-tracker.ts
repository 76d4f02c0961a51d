import { type Flows, TCP_STATE } from '../../kernel/flows.ts'
import type { Prefix } from '../../net/prefix.ts'
import { type Session, SUCCEEDS_AGAIN_MS } from './session.ts'
import {
  beginFlow,
  countFlow,
  hasServerData,
  type SeenFlow,
  sessionOf,
  sourceOf,
  type TrackedFlow,
} from './tracked-flow.ts'

/**
 * A flow that a look misses may have slipped through, as the kernel's list is read in parts; or the event of its
 * end, with its last counters, is still to be read.
 */
const MISSES_MAX = 2

/** Six passwords that are refused at once take 150 ms, and with a delay of PAM's for each a few seconds. */
const YOUNG_MS = 3000

/** To ask for so many flows costs as much as to look at all (docs/sessions.md). */
export const ASKED_MAX = 2048

/** What a look at the flows has brought. */
export interface SessionNews {
  /** Sources whose addresses are proven, once for each flow. */
  readonly assured: readonly { readonly source: Prefix; readonly service: string }[]
  readonly closed: readonly Session[]
  /** Those that go on and have succeeded so far; again each ten minutes. */
  readonly succeeded: readonly Session[]
}

export interface SessionTrackerOptions {
  /** Flows kept in mind, open or just closed. One that finds no room is not seen: neither session nor proof. */
  readonly max: number
  /** The service that a TCP port belongs to. */
  readonly serviceAt: (port: number) => string | undefined
  /** Whether it is this host that connected to a port like that of a service elsewhere. */
  readonly isOwn: (address: Prefix) => boolean
  /** Whether the SYN that `port` of `source` sent last had TCP timestamps, if that is known. */
  readonly hasTimestamps: (source: Prefix, port: number) => boolean | undefined
  /** Whether that is clear of a session, as far as it has come. */
  readonly hasSucceeded: (session: Session) => boolean
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Unix time in ms. */
  readonly unixNow: () => number
}

/**
 * Turns looks at conntrack's assured flows into sessions. A session is over when both sides have said so or
 * one has reset it: conntrack keeps the flow for up to 120 s more, and its counters stand by then.
 */
export class SessionTracker {
  /** Sessions that closed without counters: they began before conntrack counted. */
  uncounted = 0
  /** Flows that found no room, counted at each look. */
  untracked = 0
  readonly #options: SessionTrackerOptions
  readonly #open = new Map<number, TrackedFlow>()
  /** Reported, or not to be: kept while conntrack keeps the flow, so that it is not taken for a new one. */
  readonly #over = new Map<number, SeenFlow>()
  /** Tuples of what events have told of since the last look, as many as may be asked for, and whether there was more. */
  readonly #named = new Map<number, Uint8Array>()
  #wasMoreNamed = false
  #looks = 0
  /** Unix time of the last look at all flows. */
  #lookedAt = 0
  #changesSoon = false

  constructor(options: SessionTrackerOptions) {
    this.#options = options
  }

  /** Sessions that go on. */
  get open(): number {
    return this.#open.size
  }

  /** Whether one of them had just begun at the last look, as most that fail are over within seconds, or is missed. */
  get changesSoon(): boolean {
    return this.#changesSoon
  }

  /** What there is to ask for: what goes on, and what events have named. `undefined`: too much. */
  get tuples(): readonly Uint8Array[] | undefined {
    if (this.#wasMoreNamed || this.#open.size + this.#named.size > ASKED_MAX) return undefined
    return [...Array.from(this.#open.values(), ({ tuple }) => tuple), ...this.#named.values()]
  }

  /** Takes in all assured flows that there are. */
  look(flows: Flows): SessionNews {
    const news = this.#takeIn(flows)
    for (const [key, flow] of this.#over) if (this.#isGone(flow)) this.#over.delete(key)
    this.#lookedAt = this.#options.unixNow()
    return news
  }

  /** Takes in those flows of `tuples` that there are. It says nothing of others. */
  lookAtSome(flows: Flows): SessionNews {
    return this.#takeIn(flows)
  }

  /**
   * Takes in events. Flows that the kernel has just forgotten come with their last counters; others, of which
   * events say neither when they began nor what they carried, are to be asked for.
   */
  hear(flows: Flows): SessionNews {
    const news = new News()
    for (let i = 0; i < flows.length; i++) {
      if (flows.isDestroyed(i)) this.#end(flows, i, news)
      else this.#name(flows, i)
    }
    return news
  }

  #takeIn(flows: Flows): News {
    const news = new News()
    this.#looks++
    this.#named.clear()
    this.#wasMoreNamed = false
    for (let i = 0; i < flows.length; i++) this.#see(flows, i, news)
    const youngFromMs = this.#options.now() - YOUNG_MS
    this.#changesSoon = false
    for (const [key, flow] of this.#open) {
      if (this.#isGone(flow)) this.#close(key, flow, news)
      else this.#changesSoon ||= flow.startMs > youngFromMs || flow.misses > 0
    }
    return news
  }

  #see(flows: Flows, i: number, news: News): void {
    const key = flows.key(i)
    const startedAt = flows.startMs(i)
    const over = this.#over.get(key)
    if (over?.startedAt === startedAt) {
      this.#mark(over)
      return
    }
    let flow = this.#open.get(key)
    if (flow !== undefined && flow.startedAt !== startedAt) {
      this.#close(key, flow, news)
      flow = undefined
    }
    // Asked for twice: by the name of the one whose ports it has, too.
    if (flow?.look === this.#looks) return
    flow ??= this.#track(key, flows, i)
    if (flow === undefined) return
    this.#mark(flow)
    countFlow(flow, flows, i)
    this.#prove(flow, flows, i, news)
    const state = flows.state(i)
    // The last acknowledgement may be still to come, and to be counted.
    if (isClosed(state) || flow.isEnding) this.#close(key, flow, news)
    else this.#succeed(flow, news)
    flow.isEnding = state === TCP_STATE.lastAck
  }

  #mark(flow: SeenFlow): void {
    flow.look = this.#looks
    flow.misses = 0
  }

  #isGone(flow: SeenFlow): boolean {
    return flow.look !== this.#looks && ++flow.misses >= MISSES_MAX
  }

  #name(flows: Flows, i: number): void {
    const key = flows.key(i)
    if (this.#open.has(key)) return
    if (this.#named.size < ASKED_MAX) this.#named.set(key, flows.tuple(i))
    else this.#wasMoreNamed = true
  }

  #end(flows: Flows, i: number, news: News): void {
    const key = flows.key(i)
    const isNew = this.#named.delete(key) || (flows.startMs(i) > this.#lookedAt && this.#looks > 0)
    if (this.#over.delete(key)) return
    const known = this.#open.get(key)
    this.#open.delete(key)
    // Of those that nobody has seen, only one that began since the last look has not been reported yet.
    const flow = known ?? (isNew ? this.#begin(flows, i) : undefined)
    if (flow === undefined) return
    countFlow(flow, flows, i)
    this.#prove(flow, flows, i, news)
    this.#report(flow, news)
  }

  /** `undefined`: there is no room for it, or it is not ours to report. */
  #track(key: number, flows: Flows, i: number): TrackedFlow | undefined {
    const isKnown = this.#over.delete(key)
    if (!isKnown && this.#open.size + this.#over.size >= this.#options.max) {
      this.untracked++
      return undefined
    }
    // Closed before the first look: how long ago, nobody can tell.
    const isOld = this.#looks === 1 && isClosed(flows.state(i))
    const flow = isOld ? undefined : this.#begin(flows, i)
    if (flow === undefined) this.#over.set(key, this.#seen(flows.startMs(i)))
    else this.#open.set(key, flow)
    return flow
  }

  #seen(startedAt: number): SeenFlow {
    return { startedAt, look: this.#looks, misses: 0 }
  }

  /** `undefined`: not ours to report. */
  #begin(flows: Flows, i: number): TrackedFlow | undefined {
    const { serviceAt, isOwn, hasTimestamps, now, unixNow } = this.#options
    const address = flows.address(i)
    const service = isOwn(address) ? undefined : serviceAt(flows.destinationPort(i))
    if (service === undefined) return undefined
    const startedAt = flows.startMs(i)
    const ageMs = startedAt === 0 ? 0 : Math.max(0, unixNow() - startedAt)
    return beginFlow(flows, i, {
      address,
      service,
      startMs: now() - ageMs,
      hasTimestamps: hasTimestamps(sourceOf(address), flows.sourcePort(i)),
    })
  }

  /**
   * Assured alone proves little: conntrack takes an acknowledgement for valid that lies anywhere in a window
   * of 66,000 (MAXACKWINCONST), which somebody who forges addresses hits by chance. The server does not, and
   * resets; then only data that it has sent shows that the connection was a real one.
   */
  #prove(flow: TrackedFlow, flows: Flows, i: number, news: News): void {
    const isReset = flows.state(i) === TCP_STATE.close
    if (flow.isProven || (isReset && !hasServerData(flow))) return
    flow.isProven = true
    news.assured.push({ source: sourceOf(flow.address), service: flow.service })
  }

  #close(key: number, flow: TrackedFlow, news: News): void {
    this.#open.delete(key)
    this.#over.set(key, this.#seen(flow.startedAt))
    this.#report(flow, news)
  }

  #report(flow: TrackedFlow, news: News): void {
    if (flow.toServer.packets === 0) this.uncounted++
    else news.closed.push(sessionOf(flow, this.#options.now()))
  }

  #succeed(flow: TrackedFlow, news: News): void {
    const { now, hasSucceeded } = this.#options
    if (now() < flow.succeedsMs) return
    const session = sessionOf(flow, now())
    if (!hasSucceeded(session)) return
    flow.succeedsMs = now() + SUCCEEDS_AGAIN_MS
    news.succeeded.push(session)
  }
}

function isClosed(state: number): boolean {
  return state === TCP_STATE.timeWait || state === TCP_STATE.close
}

class News implements SessionNews {
  readonly assured: { source: Prefix; service: string }[] = []
  readonly closed: Session[] = []
  readonly succeeded: Session[] = []
}
