import { SUCCEEDS_AGAIN_MS, type Volume } from '../../control/sessions/session.ts'
import type { Prefix } from '../../net/prefix.ts'
import { hasTimestamps } from '../../path/timestamps.ts'
import type { Attempt } from '../attempt.ts'
import { FlowTable } from './flow-table.ts'
import { SlotRing } from './slot-ring.ts'
import { nextState, TcpState, TIMEOUTS_MS, UNCOUNTED } from './tcp-state.ts'

const MOST_FLOWS = 65_536
/** After the end of a connection its last packets may still come; the daemon too learns of it a little later. */
const LINGER_MS = 1000
/** So often connections are looked for that ended by falling silent, so many slots each time. */
const SWEEP_MS = 1000
const SWEEP_SLOTS = 96
/** So often the daemon looks at open sessions. */
const LOOK_MS = 1000

const TO_SERVER = 0
const TO_CLIENT = 1

/** A connection to a service that came to be, as far as it went. */
export interface Flow {
  /** The client's own: /32 or /128. */
  readonly address: Prefix
  readonly clientPort: number
  readonly serverPort: number
  /** A bit for each engine that let it pass. */
  readonly passedBy: number
  /** A bit for each engine that knows it to have succeeded. */
  readonly succeededBy: number
  /** Of the first packet and the last, as `Attempt.nowMs`. */
  readonly startMs: number
  readonly lastMs: number
  /** Whether its packets have TCP timestamps; `undefined`: a SYN of it was cut off in the capture. */
  readonly hasTimestamps: boolean | undefined
  readonly toServer: Volume
  readonly toClient: Volume
}

/** Is told of connections what conntrack's events tell the daemon. */
export interface FlowObserver {
  /** Its handshake is complete: the client does receive what is sent to its address. */
  assured(flow: Flow): void
  /**
   * Goes on: told a second after packets of it, for the engines that do not know it to have succeeded; in another ten
   * minutes of it, for all that let it pass.
   *
   * @returns a bit for each engine that knows it now
   */
  goesOn(flow: Flow, nowMs: number): number
  /** It is over, as the daemon learns at `knownMs`. Only of connections that were assured. */
  closed(flow: Flow, knownMs: number): void
}

/**
 * Follows the connections of a capture as conntrack does: the same states, the same counters. Its memory is
 * bounded, see `FlowTable`; a connection that is forgotten gives no session, which is no evidence for or
 * against anybody. Connections that began before the capture are not followed, nor those whose SYN no engine
 * let pass, so that a flood of SYNs takes no room here.
 */
export class FlowTracker {
  readonly #table: FlowTable
  readonly #observer: FlowObserver
  /** Ended connections, until their last packets have come. */
  readonly #ended: SlotRing
  /** Open ones that have had packets since the last look at them. */
  readonly #changed: SlotRing
  /** Until then `tick` has nothing to do. */
  dueMs = Number.NEGATIVE_INFINITY
  #sweepAt = 0
  #sweptMs = 0

  constructor(observer: FlowObserver, most = MOST_FLOWS) {
    this.#table = new FlowTable(most)
    this.#observer = observer
    this.#ended = new SlotRing(this.#table.slots)
    this.#changed = new SlotRing(this.#table.slots)
  }

  /** Connections that had to make room for others. */
  get forgotten(): number {
    return this.#table.forgotten
  }

  /** Takes note of a SYN that the engines of the bits in `passedBy` let pass. */
  open(attempt: Attempt, passedBy: number): void {
    const table = this.#table
    let slot = table.find(attempt, false)
    if (slot >= 0 && table.states[slot]! >= TcpState.timeWait) {
      this.#settle(slot, attempt.nowMs)
      slot = -1
    }
    if (slot < 0) {
      slot = table.insert(attempt)
      table.states[slot] = TcpState.synSent
    } else if (table.states[slot] !== TcpState.synSent) return
    table.passedBy[slot]! |= passedBy
    this.#noteTimestamps(slot, attempt)
    this.#count(slot, TO_SERVER, attempt)
  }

  /** Takes note of any other TCP packet, of a connection or not. */
  follow(attempt: Attempt, isFromServer: boolean): void {
    const table = this.#table
    const slot = table.find(attempt, isFromServer)
    if (slot < 0) return
    const before = table.states[slot]!
    const state = nextState(before, isFromServer, attempt.view.tcpFlags)
    if (state === UNCOUNTED) return
    if (isFromServer && before <= TcpState.synReceived) this.#noteTimestamps(slot, attempt)
    const isProof = state === TcpState.established && before === TcpState.synReceived
    if (isProof) table.assured[slot] = 1
    table.states[slot] = state
    this.#count(slot, isFromServer ? TO_CLIENT : TO_SERVER, attempt)
    if (isProof) this.#observer.assured(this.#flowOf(slot))
    if (state >= TcpState.timeWait) {
      if (before < TcpState.timeWait) this.#end(slot, attempt.nowMs)
    } else if (table.assured[slot] === 1 && table.isDue[slot] === 0) {
      table.isDue[slot] = 1
      this.#changed.push(slot, attempt.nowMs + LOOK_MS)
      this.dueMs = Math.min(this.dueMs, this.#changed.dueMs)
    }
  }

  /** Lets time pass: tells of connections that are over. */
  tick(nowMs: number): void {
    this.#catchUp(nowMs)
    if (nowMs - this.#sweptMs >= SWEEP_MS) {
      const turns = Math.floor((nowMs - this.#sweptMs) / SWEEP_MS)
      this.#sweptMs = nowMs
      this.#sweep(nowMs, Math.min(this.#table.slots, turns * SWEEP_SLOTS))
    }
    // A millisecond too early, since sums of doubles are rounded.
    this.dueMs = Math.min(this.#ended.dueMs, this.#changed.dueMs, this.#sweptMs + SWEEP_MS - 1)
  }

  /** After the last packet: those that have ended are over; those that are open stay open. */
  finish(nowMs: number): void {
    this.#catchUp(Number.MAX_VALUE)
    this.#sweep(nowMs, this.#table.slots)
  }

  /** Does in the order of time what is due by `nowMs`. */
  #catchUp(nowMs: number): void {
    const [ended, changed] = [this.#ended, this.#changed]
    while (Math.min(ended.dueMs, changed.dueMs) <= nowMs) {
      if (ended.dueMs <= changed.dueMs) this.#settleFirst()
      else this.#lookAtFirst()
    }
  }

  #lookAtFirst(): void {
    const nowMs = this.#changed.dueMs
    const slot = this.#changed.take()
    const { states, assured, isDue, startMs, periods, passedBy, succeededBy } = this.#table
    isDue[slot] = 0
    // It may have ended by now, and another connection have its slot.
    if (assured[slot] === 0 || states[slot] === TcpState.none || states[slot]! >= TcpState.timeWait) return
    const period = Math.floor((nowMs - startMs[slot]!) / SUCCEEDS_AGAIN_MS)
    const asked = period === periods[slot] ? passedBy[slot]! & ~succeededBy[slot]! : passedBy[slot]!
    periods[slot] = period
    if (asked !== 0)
      succeededBy[slot]! |= this.#observer.goesOn({ ...this.#flowOf(slot), passedBy: asked }, nowMs)
  }

  #noteTimestamps(slot: number, { bytes, view }: Attempt): void {
    const { timestamps } = this.#table
    if (timestamps[slot] === 1) timestamps[slot] = hasTimestamps(bytes, view.tcpStart, view.tcpEnd)
  }

  #count(slot: number, direction: number, attempt: Attempt): void {
    const table = this.#table
    table.packets[2 * slot + direction]!++
    table.bytes[2 * slot + direction]! += attempt.ipLength
    // What comes after the end makes a connection no longer.
    if (table.states[slot]! < TcpState.timeWait) table.touch(slot, attempt.nowMs)
  }

  #end(slot: number, nowMs: number): void {
    this.#table.lastMs[slot] = nowMs
    if (this.#ended.isFull) this.#settleFirst()
    this.#ended.push(slot, nowMs + LINGER_MS)
    this.dueMs = Math.min(this.dueMs, this.#ended.dueMs)
  }

  #settleFirst(): void {
    const dueMs = this.#ended.dueMs
    const slot = this.#ended.take()
    // Unless another connection has its slot by now.
    if (this.#table.states[slot]! >= TcpState.timeWait && this.#table.lastMs[slot]! + LINGER_MS === dueMs)
      this.#settle(slot, dueMs)
  }

  #settle(slot: number, knownMs: number): void {
    if (this.#table.assured[slot] === 1) this.#observer.closed(this.#flowOf(slot), knownMs)
    this.#table.remove(slot)
  }

  /** Settles those of the next `count` slots whose time is out. */
  #sweep(nowMs: number, count: number): void {
    const { states, lastMs, slots } = this.#table
    for (let i = 0; i < count; i++) {
      const slot = this.#sweepAt
      this.#sweepAt = slot + 1 === slots ? 0 : slot + 1
      const state = states[slot]!
      const overMs = lastMs[slot]! + TIMEOUTS_MS[state]!
      if (state !== TcpState.none && overMs <= nowMs) this.#settle(slot, overMs)
    }
  }

  #flowOf(slot: number): Flow {
    const { packets, bytes, startMs, lastMs, passedBy, succeededBy, timestamps } = this.#table
    const volume = (direction: number) => ({
      packets: packets[2 * slot + direction]!,
      bytes: bytes[2 * slot + direction]!,
    })
    return {
      address: this.#table.address(slot),
      clientPort: this.#table.ports(slot) >>> 16,
      serverPort: this.#table.ports(slot) & 0xffff,
      passedBy: passedBy[slot]!,
      succeededBy: succeededBy[slot]!,
      startMs: startMs[slot]!,
      lastMs: lastMs[slot]!,
      hasTimestamps: timestamps[slot] === -1 ? undefined : timestamps[slot] === 1,
      toServer: volume(TO_SERVER),
      toClient: volume(TO_CLIENT),
    }
  }
}
