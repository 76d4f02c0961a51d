import { networkBits } from './bucket-keys.ts'
import { type CompiledPolicy, DnsSet, LIMITS_PER_SLOT, NETWORK_LIMIT, TOTAL_LIMIT } from './compile.ts'
import type { PacketView } from './decode.ts'
import { lineMemory } from './line-memory.ts'
import type { SharedState } from './shared.ts'
import { SourceRing } from './source-ring.ts'
import { BucketTable } from './table.ts'

/** Sources and networks that are metered at the same time, in 700 kB. */
const METERS = 16_384

/** What a meter holds: so many refusals, and at least so much time's worth of them. */
const REFUSALS = 8
const SUSTAINED_MS = 250

/** Twice what a hold lasts: while sources are held, the queue is empty because they are. */
const RELIEF_MS = 2000

/** Half of what a hold lasts: whoever goes on is handed over again before it ends. */
const PAUSE_MS = 500

/** Refused reverse queries of a flood, each of which may stand for 8, that the path can do with: a second's. */
const FLOOD_PER_SECOND = 1000

/**
 * Finds those whose refusals the kernel should carry out: while the queue is filling, a source that its own
 * limit refuses more than `factor` times as often as it lets it through, or a network that its limit does.
 * It is the limit that refuses which names the prefix to hold, so nobody is held for his neighbours unless
 * the limit of the network would refuse him too. The total limit holds nobody: it cannot tell who is guilty.
 *
 * A meter is a bucket like those of the limits, of `factor` times the rate, from which refusals draw. Eight
 * refusals or 250 ms of them beyond that rate empty it; then the source is handed over, and rests. The rule
 * that carries out a hold lets a sample through: by that, a flood renews its hold before it ends. A meter
 * that is forgotten costs eight more packets in the queue.
 */
export class Holds {
  /** Holds that the ring had no room for. */
  declare private readonly lost: Float64Array
  declare private readonly meters: BucketTable
  declare private readonly ring: SourceRing
  #handedOver = 0
  /** Packets since the last batch that was not full. */
  #inFullBatches = 0
  #fillingUntilMs = 0

  constructor(shared: SharedState, lost: Float64Array) {
    this.lost = lost
    this.ring = new SourceRing(shared.holds)
    const memory = lineMemory(BucketTable.bytes(METERS))
    this.meters = new BucketTable(memory, new Float64Array(2), shared.seed)
  }

  /**
   * Takes note of a batch before its packets are judged. When n packets have waited, the next n come in
   * full batches: so the path knows, to a batch and without asking the kernel, that the queue is filling.
   * It also is when the path has been behind for as long without ever being far behind.
   */
  beginBatch(count: number, isFull: boolean, policy: CompiledPolicy, nowMs: number): void {
    this.#inFullBatches = isFull ? this.#inFullBatches + count : 0
    if (this.#inFullBatches > policy.holdAbove) this.#fillingUntilMs = nowMs + RELIEF_MS
  }

  /**
   * Takes note that the packet in `view` was refused. Limits of DNS queries may be much tighter than that of
   * the service, by which a hold goes: it stops all that the source sends.
   *
   * @param kind of the limit that refused it: its place among those of a slot
   */
  refused(view: PacketView, service: number, kind: number, policy: CompiledPolicy, nowMs: number): void {
    if (nowMs >= this.#fillingUntilMs || policy.holdFactor === 0) return
    if (kind === TOTAL_LIMIT) return
    const isNetwork = kind === NETWORK_LIMIT
    const intervalMs = policy.intervalMs[service * LIMITS_PER_SLOT + kind]! / policy.holdFactor
    const low = isNetwork ? networkBits(view) : view.sourceLow
    const tag = (service << 2) | (isNetwork ? 2 : 0) | (view.family === 6 ? 0x101 : 0x100)
    if (!this.#overflows(view.sourceHigh, low, tag, intervalMs, nowMs)) return
    this.#fillingUntilMs = nowMs + RELIEF_MS
    this.#handOver(view, service, prefixLength(view, isNetwork), nowMs)
  }

  /**
   * Takes note that the query in `view` was refused for a flood of reverse queries. It comes from everywhere: no source
   * is to be held, but most of what strangers ask, which is what the prefix length 0 says.
   */
  refusedInFlood(view: PacketView, policy: CompiledPolicy, nowMs: number): void {
    if (nowMs >= this.#fillingUntilMs || policy.holdFactor === 0) return
    if (!this.#overflows(0, 0, view.family, 1000 / FLOOD_PER_SECOND, nowMs)) return
    this.#fillingUntilMs = nowMs + RELIEF_MS
    this.#handOver(view, DnsSet.reverse, 0, nowMs)
  }

  /** Takes note that the reverse query in `view` was let through in such a flood: its source is to be spared. */
  servedInFlood(view: PacketView, policy: CompiledPolicy, nowMs: number): void {
    if (nowMs >= this.#fillingUntilMs || policy.holdFactor === 0) return
    this.#handOver(view, DnsSet.reverse, prefixLength(view, false), nowMs)
  }

  /** How many holds the ring has received since the last call. */
  takeHandedOver(): number {
    const handedOver = this.#handedOver
    this.#handedOver = 0
    return handedOver
  }

  #handOver(view: PacketView, service: number, length: number, nowMs: number): void {
    if (this.ring.push(view, service, length, nowMs)) this.#handedOver++
    else this.lost[0]!++
  }

  #overflows(high: number, low: number, tag: number, intervalMs: number, nowMs: number): boolean {
    const { fullAtMs } = this.meters
    let meter = this.meters.find(high, low, tag)
    if (meter < 0) meter = this.meters.insert(high, low, tag, nowMs)
    const mostMs = nowMs + Math.max(REFUSALS * intervalMs, SUSTAINED_MS)
    // Beyond the pause lies only what another policy or another clock has left.
    if (fullAtMs[meter]! > mostMs + PAUSE_MS) fullAtMs[meter] = mostMs
    if (fullAtMs[meter]! > mostMs) return false
    fullAtMs[meter] = Math.max(fullAtMs[meter]!, nowMs) + intervalMs
    if (fullAtMs[meter]! <= mostMs) return false
    // With the clock it comes back to the brim: after the pause the next refusal overflows again.
    fullAtMs[meter] = mostMs + PAUSE_MS
    return true
  }
}

function prefixLength(view: PacketView, isNetwork: boolean): number {
  if (view.family === 4) return isNetwork ? 24 : 32
  return isNetwork ? 48 : 64
}
