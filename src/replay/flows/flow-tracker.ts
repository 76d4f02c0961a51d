import type { Volume } from '../../control/session.ts'
import type { Prefix } from '../../net/prefix.ts'
import type { Attempt } from '../attempt.ts'
import { FlowTable } from './flow-table.ts'
import { nextState, TcpState, TIMEOUTS_MS, UNCOUNTED } from './tcp-state.ts'

const MOST_FLOWS = 65_536
/** After the end of a connection its last packets may still come; the daemon too learns of it a little later. */
const LINGER_MS = 1000
/** So often connections are looked for that ended by falling silent, so many slots each time. */
const SWEEP_MS = 1000
const SWEEP_SLOTS = 256

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
  /** Of the first packet and the last, as `Attempt.nowMs`. */
  readonly startMs: number
  readonly lastMs: number
  readonly toServer: Volume
  readonly toClient: Volume
}

/** Is told of connections what conntrack's events tell the daemon. */
export interface FlowObserver {
  /** Its handshake is complete: the client does receive what is sent to its address. */
  assured(flow: Flow): void
  /** It is over. Only of connections that were assured. */
  closed(flow: Flow): void
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
  /** Slots of ended connections and when they ended, a ring in the order of time. */
  readonly #endedSlots: Uint32Array
  readonly #endedMs: Float64Array
  #firstEnded = 0
  #ended = 0
  #sweepAt = 0
  #sweptMs = 0

  constructor(observer: FlowObserver, most = MOST_FLOWS) {
    this.#table = new FlowTable(most)
    this.#observer = observer
    this.#endedSlots = new Uint32Array(this.#table.slots)
    this.#endedMs = new Float64Array(this.#table.slots)
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
      this.#settle(slot)
      slot = -1
    }
    if (slot < 0) {
      slot = table.insert(attempt)
      table.states[slot] = TcpState.synSent
    } else if (table.states[slot] !== TcpState.synSent) return
    table.passedBy[slot]! |= passedBy
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
    const isProof = state === TcpState.established && before === TcpState.synReceived
    if (isProof) table.assured[slot] = 1
    table.states[slot] = state
    this.#count(slot, isFromServer ? TO_CLIENT : TO_SERVER, attempt)
    if (isProof) this.#observer.assured(this.#flowOf(slot))
    if (state >= TcpState.timeWait && before < TcpState.timeWait) this.#end(slot, attempt.nowMs)
  }

  /** Lets time pass: tells of connections that are over. */
  tick(nowMs: number): void {
    while (this.#ended > 0 && this.#endedMs[this.#firstEnded]! + LINGER_MS <= nowMs) this.#settleFirst()
    if (nowMs - this.#sweptMs < SWEEP_MS) return
    const turns = Math.floor((nowMs - this.#sweptMs) / SWEEP_MS)
    this.#sweptMs = nowMs
    this.#sweep(nowMs, Math.min(this.#table.slots, turns * SWEEP_SLOTS))
  }

  /** After the last packet: those that have ended are over; those that are open stay open. */
  finish(nowMs: number): void {
    while (this.#ended > 0) this.#settleFirst()
    this.#sweep(nowMs, this.#table.slots)
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
    if (this.#ended === this.#endedSlots.length) this.#settleFirst()
    const at = (this.#firstEnded + this.#ended++) % this.#endedSlots.length
    this.#endedSlots[at] = slot
    this.#endedMs[at] = nowMs
  }

  #settleFirst(): void {
    const slot = this.#endedSlots[this.#firstEnded]!
    const endedMs = this.#endedMs[this.#firstEnded]!
    this.#firstEnded = (this.#firstEnded + 1) % this.#endedSlots.length
    this.#ended--
    // Unless another connection has its slot by now.
    if (this.#table.states[slot]! >= TcpState.timeWait && this.#table.lastMs[slot] === endedMs)
      this.#settle(slot)
  }

  #settle(slot: number): void {
    if (this.#table.assured[slot] === 1) this.#observer.closed(this.#flowOf(slot))
    this.#table.remove(slot)
  }

  /** Settles those of the next `count` slots whose time is out. */
  #sweep(nowMs: number, count: number): void {
    const { states, lastMs, slots } = this.#table
    for (let i = 0; i < count; i++) {
      const slot = this.#sweepAt
      this.#sweepAt = slot + 1 === slots ? 0 : slot + 1
      const state = states[slot]!
      if (state !== TcpState.none && lastMs[slot]! + TIMEOUTS_MS[state]! <= nowMs) this.#settle(slot)
    }
  }

  #flowOf(slot: number): Flow {
    const { packets, bytes, startMs, lastMs, passedBy } = this.#table
    const volume = (direction: number) => ({
      packets: packets[2 * slot + direction]!,
      bytes: bytes[2 * slot + direction]!,
    })
    return {
      address: this.#table.address(slot),
      clientPort: this.#table.ports(slot) >>> 16,
      serverPort: this.#table.ports(slot) & 0xffff,
      passedBy: passedBy[slot]!,
      startMs: startMs[slot]!,
      lastMs: lastMs[slot]!,
      toServer: volume(TO_SERVER),
      toClient: volume(TO_CLIENT),
    }
  }
}
