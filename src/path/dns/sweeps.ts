import * as keys from '../bucket-keys.ts'
import type { CompiledPolicy } from '../compile.ts'
import type { PacketView } from '../decode.ts'
import { ReadAhead } from '../read-ahead.ts'
import { BucketTable } from '../table.ts'
import type { DnsMessage } from './message.ts'
import * as records from './walk-records.ts'
import { type SweepEvidence, type SweepKind, WalkRecords } from './walk-records.ts'

// Constants of this module cost compiled code nothing; an import is looked up each time, a function too.
const { networkBits } = keys
const { nameBit, RECORD_WORDS } = records
const NONE = records.SweepKind.none

/** Clients in one network ask more than one of them does: so many times more names make its sweep. */
const NETWORK_FACTOR = 4

/** A record that has more names is kept longer when its set is full: 500 ms for each, at most a minute. */
const KEPT_MS_PER_NAME = 500
const KEPT_MS = 60_000

/** Of a name that is not counted. */
const NO_BIT = -1

/**
 * Finds walks through the reverse trees: of one source, and of all sources of a network together, since a
 * walk may be dealt out to many. Each has a record of 64 bytes.
 *
 * A record that is forgotten costs the host as many names as make a sweep.
 */
export class Sweeps {
  declare private readonly table: BucketTable
  declare private readonly records: WalkRecords
  declare private readonly ahead: ReadAhead

  /** Bytes of memory for the records behind a table of so many bytes. */
  static recordBytes(tableBytes: number): number {
    return BucketTable.slots(tableBytes) * RECORD_WORDS * 4
  }

  constructor(
    table: SharedArrayBuffer,
    memory: SharedArrayBuffer,
    seed: Uint32Array,
    stats: Float64Array,
    recognised: Float64Array,
  ) {
    this.table = new BucketTable(table, stats, seed)
    this.records = new WalkRecords(memory, recognised)
    this.ahead = new ReadAhead(this.records.words)
  }

  /** Notes what `note` will look at for `view`: it is in the cache after `fetch`. */
  expect(view: PacketView): void {
    const family = view.family === 6 ? 1 : 0
    const source = this.table.expect(view.sourceHigh, view.sourceLow, 2 | family)
    const network = this.table.expect(view.sourceHigh, networkBits(view), 4 | family)
    this.ahead.note(BucketTable.numberOf(source) * RECORD_WORDS)
    this.ahead.note(BucketTable.numberOf(network) * RECORD_WORDS)
  }

  fetch(): void {
    this.table.ahead.fetch()
    this.ahead.fetch()
  }

  /**
   * Takes note of a reverse name that the source of `view` asks for.
   *
   * @param mayInsert whether whoever has no record gets one
   * @returns what the source walks, or its network
   */
  note(
    view: PacketView,
    message: DnsMessage,
    policy: CompiledPolicy,
    nowMs: number,
    mayInsert: boolean,
  ): SweepKind {
    const isWhole = message.prefixLength === (message.family === 4 ? 32 : 128)
    // A name below an address or prefix, such as lb._dns-sd._udp (RFC 6763, 11), says nothing about a walk.
    const bit = !message.hasMore && (isWhole || message.family === 6) ? nameBit(message) : NO_BIT
    const family = view.family === 6 ? 1 : 0
    let found: SweepKind = NONE
    // In a loop, so that the code for it is there only once: V8 inlines just so much.
    for (let isNetwork = 0; isNetwork < 2; isNetwork++) {
      const low = isNetwork === 0 ? view.sourceLow : networkBits(view)
      const slot = this.#find(view.sourceHigh, low, ((isNetwork + 1) << 1) | family, nowMs, mayInsert)
      if (slot < 0) continue
      const number = BucketTable.numberOf(slot)
      const factor = isNetwork === 0 ? 1 : NETWORK_FACTOR
      if (bit !== NO_BIT && this.records.note(number, message, bit, isWhole, policy, factor, nowMs)) {
        const keptMs = this.records.namesOf(number) * KEPT_MS_PER_NAME
        this.table.fullAtMs[slot] = nowMs + (keptMs < KEPT_MS ? keptMs : KEPT_MS)
      }
      if (found === NONE) found = this.records.kindOf(number)
    }
    return found
  }

  /** For the control thread: the record of a source or network, by the path's two numbers for it. */
  evidence(
    family: 4 | 6,
    high: number,
    low: number,
    isNetwork: boolean,
    nowMs: number,
    withinMs: number,
  ): SweepEvidence | undefined {
    const slot = this.table.find(high, low, (isNetwork ? 4 : 2) | (family === 6 ? 1 : 0))
    return slot < 0 ? undefined : this.records.evidence(BucketTable.numberOf(slot), nowMs, withinMs)
  }

  #find(high: number, low: number, tag: number, nowMs: number, mayInsert: boolean): number {
    let slot = this.table.find(high, low, tag)
    if (slot < 0 && mayInsert) {
      slot = this.table.insert(high, low, tag, nowMs)
      this.records.clear(BucketTable.numberOf(slot), nowMs)
    }
    return slot
  }
}
