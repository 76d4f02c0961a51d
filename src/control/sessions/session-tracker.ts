import { type Flows, TCP_STATE } from '../../kernel/flows.ts'
import { type Prefix, SOURCE_BITS, widen } from '../../net/prefix.ts'
import { type Session, SUCCEEDS_AGAIN_MS, type Volume } from './session.ts'

/** TCP and IP headers of a SYN-ACK, which has the most options of packets without data. */
const HEADERS_BYTES = { 4: 60, 6: 80 } as const

/** A flow that is not in the kernel's list may have slipped through: the list is read in parts. */
const MISSES_MAX = 2

/** Six passwords that are refused at once take 150 ms, and with a delay of PAM's for each a few seconds. */
const YOUNG_MS = 3000

interface Tracked {
  readonly address: Prefix
  /** `undefined`: not ours to report. */
  readonly service: string | undefined
  /** Unix time as conntrack has it; 0 for none. */
  readonly startedAt: number
  /** Monotonic. */
  readonly startMs: number
  readonly hasTimestamps: boolean | undefined
  isProven: boolean
  isEnding: boolean
  /** Reported, or not to be: kept while conntrack keeps the flow, so that it is not taken for a new one. */
  isOver: boolean
  /** When it may be said to have succeeded, again. */
  succeedsMs: number
  misses: number
  look: number
  toServer: Volume
  toClient: Volume
}

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
  readonly #flows = new Map<number, Tracked>()
  #looks = 0
  #lookedAt = 0
  #open = 0
  #hasYoung = false

  constructor(options: SessionTrackerOptions) {
    this.#options = options
  }

  /** Sessions open at the last look. */
  get open(): number {
    return this.#open
  }

  /** Whether one of them had just begun: most that fail are over within seconds. */
  get hasYoung(): boolean {
    return this.#hasYoung
  }

  /** Flows kept in mind. */
  get size(): number {
    return this.#flows.size
  }

  /** Takes in all assured flows that there are. */
  look(flows: Flows): SessionNews {
    const news = new News()
    this.#looks++
    for (let i = 0; i < flows.length; i++) this.#see(flows, i, news)
    this.#open = 0
    const youngFromMs = this.#options.now() - YOUNG_MS
    this.#hasYoung = false
    for (const [key, flow] of this.#flows) {
      if (flow.look !== this.#looks) this.#miss(key, flow, news)
      else if (!flow.isOver) {
        this.#open++
        this.#hasYoung ||= flow.startMs > youngFromMs
      }
    }
    this.#lookedAt = this.#options.unixNow()
    return news
  }

  /** Takes in flows that the kernel has just forgotten, with their last counters; skips others. */
  destroyed(flows: Flows): SessionNews {
    const news = new News()
    for (let i = 0; i < flows.length; i++) {
      if (!flows.isDestroyed(i)) continue
      const key = flows.key(i)
      const known = this.#flows.get(key)
      // Of those that nobody has seen, only one that began since the last look has not been reported yet.
      if (known === undefined && !(flows.startMs(i) > this.#lookedAt && this.#looks > 0)) continue
      const flow = known ?? this.#begin(flows, i)
      count(flow, flows, i)
      this.#prove(flow, flows, i, news)
      this.#close(flow, news)
      this.#flows.delete(key)
    }
    return news
  }

  #see(flows: Flows, i: number, news: News): void {
    const key = flows.key(i)
    let flow = this.#flows.get(key)
    if (flow !== undefined && flow.startedAt !== flows.startMs(i)) {
      this.#close(flow, news)
      flow = undefined
    }
    if (flow === undefined) {
      if (this.#flows.size >= this.#options.max && !this.#flows.has(key)) {
        this.untracked++
        return
      }
      flow = this.#begin(flows, i)
      this.#flows.set(key, flow)
    }
    flow.look = this.#looks
    flow.misses = 0
    if (flow.isOver) return
    count(flow, flows, i)
    this.#prove(flow, flows, i, news)
    const state = flows.state(i)
    // The last acknowledgement may be still to come, and to be counted.
    if (state === TCP_STATE.timeWait || state === TCP_STATE.close || flow.isEnding) this.#close(flow, news)
    else this.#succeed(flow, news)
    flow.isEnding = state === TCP_STATE.lastAck
  }

  #miss(key: number, flow: Tracked, news: News): void {
    flow.misses++
    if (!flow.isOver && flow.misses < MISSES_MAX) return
    this.#close(flow, news)
    this.#flows.delete(key)
  }

  #begin(flows: Flows, i: number): Tracked {
    const { serviceAt, isOwn, hasTimestamps, now, unixNow } = this.#options
    const address = flows.address(i)
    const source = widen(address, SOURCE_BITS[address.family])
    const startedAt = flows.startMs(i)
    const ageMs = startedAt === 0 ? 0 : Math.max(0, unixNow() - startedAt)
    const service = isOwn(address) ? undefined : serviceAt(flows.destinationPort(i))
    const state = flows.state(i)
    // Closed before the first look: how long ago, nobody can tell.
    const isOld = this.#looks === 1 && (state === TCP_STATE.timeWait || state === TCP_STATE.close)
    const isOver = service === undefined || isOld
    return {
      address,
      service,
      startedAt,
      startMs: now() - ageMs,
      hasTimestamps: isOver ? undefined : hasTimestamps(source, flows.sourcePort(i)),
      isProven: false,
      isEnding: false,
      isOver,
      succeedsMs: 0,
      misses: 0,
      look: this.#looks,
      toServer: NOTHING,
      toClient: NOTHING,
    }
  }

  /**
   * Assured alone proves little: conntrack takes an acknowledgement for valid that lies anywhere in a window
   * of 66,000 (MAXACKWINCONST), which somebody who forges addresses hits by chance. The server does not, and
   * resets; then only data that it has sent shows that the connection was a real one.
   */
  #prove(flow: Tracked, flows: Flows, i: number, news: News): void {
    if (flow.isProven || flow.service === undefined) return
    const isReset = flows.state(i) === TCP_STATE.close
    if (isReset && flow.toClient.bytes <= flow.toClient.packets * HEADERS_BYTES[flow.address.family]) return
    flow.isProven = true
    news.assured.push({
      source: widen(flow.address, SOURCE_BITS[flow.address.family]),
      service: flow.service,
    })
  }

  #close(flow: Tracked, news: News): void {
    if (flow.isOver || flow.service === undefined) return
    flow.isOver = true
    if (flow.toServer.packets === 0) this.uncounted++
    else news.closed.push(this.#sessionOf(flow, flow.service))
  }

  #succeed(flow: Tracked, news: News): void {
    if (flow.service === undefined || this.#options.now() < flow.succeedsMs) return
    const session = this.#sessionOf(flow, flow.service)
    if (!this.#options.hasSucceeded(session)) return
    flow.succeedsMs = this.#options.now() + SUCCEEDS_AGAIN_MS
    news.succeeded.push(session)
  }

  #sessionOf({ address, startMs, hasTimestamps, toServer, toClient }: Tracked, service: string): Session {
    const durationMs = Math.max(0, this.#options.now() - startMs)
    const source = widen(address, SOURCE_BITS[address.family])
    return { source, address, service, durationMs, hasTimestamps, toServer, toClient }
  }
}

const NOTHING: Volume = { packets: 0, bytes: 0 }

class News implements SessionNews {
  readonly assured: { source: Prefix; service: string }[] = []
  readonly closed: Session[] = []
  readonly succeeded: Session[] = []
}

function count(flow: Tracked, flows: Flows, i: number): void {
  const packets = flows.toServerPackets(i)
  if (packets !== flow.toServer.packets) flow.toServer = { packets, bytes: flows.toServerBytes(i) }
  const answers = flows.toClientPackets(i)
  if (answers !== flow.toClient.packets) flow.toClient = { packets: answers, bytes: flows.toClientBytes(i) }
}
