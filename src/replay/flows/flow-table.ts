import { addressBits, type Family, type Prefix } from '../../net/prefix.ts'
import { BucketTable } from '../../path/table.ts'
import type { Attempt } from '../attempt.ts'

/** Where each lies in the table is not to depend on chance. */
const SEED = Uint32Array.of(3, 4)
/** Client's address, server's address, ports. Of an IPv4 address only the first word is in use. */
const WORDS = 9
const PORTS = 8

/**
 * What is known of each connection, in typed arrays of a fixed size, found by addresses and ports. When there
 * are more, the one of a few that was quiet longest is forgotten; connections that have come to be are given
 * an hour's start over those that have not.
 */
export class FlowTable {
  /** Connections that had to make room. */
  forgotten = 0
  /** How many there are: numbers without gaps, from 0 on. */
  readonly slots: number
  readonly states: Uint8Array
  /** 1 when the client has shown that it receives what is sent to its address. */
  readonly assured: Uint8Array
  /** A bit for each engine that lets it pass. */
  readonly passedBy: Uint32Array
  /** A bit for each engine that knows it to have succeeded, in this `period` of its life. */
  readonly succeededBy: Uint32Array
  readonly periods: Uint32Array
  /** 1 while a look at it is due. */
  readonly isDue: Uint8Array
  /** 1 while all SYNs seen had TCP timestamps, 0 when one had none, -1 when one was cut off. */
  readonly timestamps: Int8Array
  readonly startMs: Float64Array
  readonly lastMs: Float64Array
  /** By slot: to the server, to the client. */
  readonly packets: Float64Array
  readonly bytes: Float64Array
  readonly #table: BucketTable
  /** Signed, here and below: V8 keeps such numbers without a box. */
  readonly #tuples: Int32Array
  readonly #families: Uint8Array
  readonly #tuple = new Int32Array(WORDS)
  /** Of an address of the packet at hand. */
  #words = 0
  #high = 0
  #low = 0

  constructor(most: number) {
    const memory = new SharedArrayBuffer(BucketTable.bytes(most))
    this.#table = new BucketTable(memory, new Float64Array(2), SEED)
    const slots = BucketTable.slots(memory.byteLength)
    this.slots = slots
    this.states = new Uint8Array(slots)
    this.assured = new Uint8Array(slots)
    this.passedBy = new Uint32Array(slots)
    this.succeededBy = new Uint32Array(slots)
    this.periods = new Uint32Array(slots)
    this.isDue = new Uint8Array(slots)
    this.timestamps = new Int8Array(slots)
    this.startMs = new Float64Array(slots)
    this.lastMs = new Float64Array(slots)
    this.packets = new Float64Array(2 * slots)
    this.bytes = new Float64Array(2 * slots)
    this.#tuples = new Int32Array(WORDS * slots)
    this.#families = new Uint8Array(slots)
  }

  /** The slot of the connection that the packet belongs to, or -1. */
  find(attempt: Attempt, isFromServer: boolean): number {
    this.#read(attempt, isFromServer)
    const place = this.#table.find(this.#high, this.#low, attempt.view.family)
    if (place < 0) return -1
    const slot = BucketTable.numberOf(place)
    return this.states[slot] !== 0 && this.#isSame(slot) ? slot : -1
  }

  /** A slot for the connection that this SYN begins, which `find` did not find; `states` of it is to be set. */
  insert(attempt: Attempt): number {
    const { nowMs, view } = attempt
    this.#read(attempt, false)
    const found = this.#table.find(this.#high, this.#low, view.family)
    const place = found >= 0 ? found : this.#table.insert(this.#high, this.#low, view.family, nowMs)
    const slot = BucketTable.numberOf(place)
    if (this.states[slot] !== 0) this.forgotten++
    this.#tuples.set(this.#tuple, slot * WORDS)
    this.#families[slot] = view.family
    this.assured[slot] = 0
    this.passedBy[slot] = 0
    this.succeededBy[slot] = 0
    this.periods[slot] = 0
    this.timestamps[slot] = 1
    this.startMs[slot] = nowMs
    this.packets.fill(0, 2 * slot, 2 * slot + 2)
    this.bytes.fill(0, 2 * slot, 2 * slot + 2)
    this.touch(slot, nowMs)
    return slot
  }

  /** A packet of the connection came just now. */
  touch(slot: number, nowMs: number): void {
    this.lastMs[slot] = nowMs
    this.#table.fullAtMs[BucketTable.placeOf(slot)] = nowMs + (this.assured[slot] === 1 ? 3_600_000 : 0)
  }

  remove(slot: number): void {
    this.states[slot] = 0
    this.#table.fullAtMs[BucketTable.placeOf(slot)] = Number.NEGATIVE_INFINITY
  }

  /** The client's address. */
  address(slot: number): Prefix {
    const family = this.#families[slot] as Family
    const length = addressBits(family)
    const bytes = new Uint8Array(length / 8)
    const view = new DataView(bytes.buffer)
    for (let word = 0; word < length / 32; word++) view.setInt32(4 * word, this.#tuples[slot * WORDS + word]!)
    return { family, bytes, length }
  }

  /** The client's in the upper 16 bits, the server's in the lower. */
  ports(slot: number): number {
    return this.#tuples[slot * WORDS + PORTS]!
  }

  /** Fills `#tuple` and its two hashes, each a round of multiplication for every word that is in use. */
  #read({ bytes, sourceAt, destinationAt, view }: Attempt, isFromServer: boolean): void {
    const tuple = this.#tuple
    const data = view.dataOf(bytes)
    const { sourcePort, destinationPort } = view
    const clientAt = isFromServer ? destinationAt : sourceAt
    const serverAt = isFromServer ? sourceAt : destinationAt
    const ports = isFromServer ? (destinationPort << 16) | sourcePort : (sourcePort << 16) | destinationPort
    const words = view.family === 4 ? 1 : 4
    let high = ports
    let low = ports
    for (let word = 0; word < words; word++) {
      const client = data.getInt32(clientAt + 4 * word)
      const server = data.getInt32(serverAt + 4 * word)
      tuple[word] = client
      tuple[4 + word] = server
      high = Math.imul(high ^ client, 0x9e3779b1)
      high = Math.imul(high ^ (high >>> 15) ^ server, 0xc2b2ae35)
      low = Math.imul(low ^ server, 0x85ebca6b)
      low = Math.imul(low ^ (low >>> 13) ^ client, 0x27d4eb2f)
    }
    tuple[PORTS] = ports
    this.#words = words
    this.#high = high
    this.#low = low
  }

  /** Families are told apart by the table's tag. */
  #isSame(slot: number): boolean {
    const tuples = this.#tuples
    const tuple = this.#tuple
    const at = slot * WORDS
    if (tuples[at + PORTS] !== tuple[PORTS]) return false
    for (let word = 0; word < this.#words; word++) {
      if (tuples[at + word] !== tuple[word] || tuples[at + 4 + word] !== tuple[4 + word]) return false
    }
    return true
  }
}
