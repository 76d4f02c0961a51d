import * as keys from './bucket-keys.ts'
import type { CompiledPolicy } from './compile.ts'
import * as compiled from './compile.ts'
import type { PacketView } from './decode.ts'
import { Known, type KnownGood } from './known-good.ts'
import { Reason } from './reasons.ts'
import type { BucketTable } from './table.ts'

// Constants of this module cost compiled code nothing; an import is looked up each time, a function too.
const { bucketTag, DNS_TCP_TAG, KNOWN_TAG, networkBits } = keys
const { KNOWN_LIMIT, LIMIT_SETS, LIMITS_PER_SLOT, NETWORK_LIMIT, SOURCE_LIMIT, TOTAL_LIMIT } = compiled
const {
  withinLimit: WITHIN_LIMIT,
  sourceLimit: BY_SOURCE,
  networkLimit: BY_NETWORK,
  totalLimit: BY_TOTAL,
  knownLimit: BY_KNOWN,
  knownGood: KNOWN_GOOD,
} = Reason
const UNKNOWN = Known.none
const TCP = 6

/** The three buckets that one attempt draws from: of its source, of its network, of all strangers. */
export interface Buckets {
  readonly sources: BucketTable
  readonly networks: BucketTable
  /** For each limit set, and then each service over TCP, when the bucket of all strangers is full again, in ms. */
  readonly totalFullAtMs: Float64Array
  readonly known: KnownGood
}

/**
 * How a source stands where a limit of DNS is asked: strangers are barred by what bars them all, while the
 * limits of networks and of all strangers are nothing to who is known good.
 */
export const Standing = { ordinary: 0, barred: 1, known: 2 } as const
export type Standing = (typeof Standing)[keyof typeof Standing]
const { ordinary: ORDINARY, barred: BARRED, known: KNOWN } = Standing

/**
 * The token buckets, as GCRA (ITU-T I.371, annex A): a bucket is the one time at which it will be full
 * again. An attempt conforms while that time is no more than `tolerance` ahead of the clock, and moves
 * it on by `interval`.
 *
 * An attempt takes a token from all three buckets or from none. So a source over its own limit eats
 * nothing of what its network and everybody else share, and a flood that the total refuses leaves no
 * trace in the tables: forged addresses cannot fill them faster than the total lets them in.
 *
 * A source that is known good has a bucket for that and no other: what strangers do to network and total
 * is nothing to it. Its neighbours, who may be itself with another address, are spared the total alone.
 */
export class Limits {
  /** The slot of the source that `admit` refused by its own limit. */
  refusedSlot = -1
  /** Which limit has refused last: its place among those of a slot. */
  refusedKind = 0
  /** The slot of the source that `admit` let through. */
  #admittedSlot = -1
  declare private readonly buckets: Buckets

  constructor(buckets: Buckets) {
    this.buckets = buckets
  }

  /**
   * `Reason.withinLimit` or `knownGood` with a token taken from each bucket, or the limit that refuses.
   *
   * @param service a slot, or a set of `DnsSet`
   * @param standing of the source where the set is one of DNS
   */
  admit(
    view: PacketView,
    service: number,
    policy: CompiledPolicy,
    nowMs: number,
    standing: Standing = ORDINARY,
  ): Reason {
    const { sources, networks, totalFullAtMs, known } = this.buckets
    const { intervalMs, toleranceMs } = policy
    const limit = service * LIMITS_PER_SLOT
    const isDnsTcp = view.protocol === TCP && policy.isDns[service] === 1
    const plainTag = bucketTag(service, view.family)
    const tag = isDnsTcp ? plainTag ^ DNS_TCP_TAG : plainTag
    const total = isDnsTcp ? LIMIT_SETS + service : service
    const knownInterval = intervalMs[limit + KNOWN_LIMIT]!
    const sourceInterval = intervalMs[limit + SOURCE_LIMIT]!
    const isFree = standing === KNOWN
    const networkInterval = isFree ? 0 : intervalMs[limit + NETWORK_LIMIT]!
    let totalInterval = isFree ? 0 : intervalMs[limit + TOTAL_LIMIT]!
    const networkLow = networkBits(view)
    if (knownInterval !== 0) {
      if (known.source(view, service, nowMs) !== UNKNOWN)
        return this.#admitKnown(view, plainTag, limit + KNOWN_LIMIT, policy, nowMs)
      if (known.network(view, networkLow, service, nowMs) !== UNKNOWN) totalInterval = 0
    }

    let source = -1
    if (sourceInterval !== 0) {
      source = sources.find(view.sourceHigh, view.sourceLow, tag)
      if (
        source >= 0 &&
        isEmpty(sources.fullAtMs, source, nowMs, sourceInterval, toleranceMs[limit + SOURCE_LIMIT]!)
      ) {
        this.refusedSlot = source
        return this.#refuse(BY_SOURCE, SOURCE_LIMIT)
      }
    }

    let network = -1
    if (networkInterval !== 0) {
      network = networks.find(view.sourceHigh, networkLow, tag)
      if (
        network >= 0 &&
        isEmpty(networks.fullAtMs, network, nowMs, networkInterval, toleranceMs[limit + 1]!)
      ) {
        return this.#refuse(BY_NETWORK, NETWORK_LIMIT)
      }
    }

    if (standing === BARRED) return this.#refuse(BY_TOTAL, TOTAL_LIMIT)
    if (totalInterval !== 0) {
      if (isEmpty(totalFullAtMs, total, nowMs, totalInterval, toleranceMs[limit + 2]!))
        return this.#refuse(BY_TOTAL, TOTAL_LIMIT)
      take(totalFullAtMs, total, nowMs, totalInterval)
    }
    if (networkInterval !== 0) {
      if (network < 0) network = networks.insert(view.sourceHigh, networkLow, tag, nowMs)
      take(networks.fullAtMs, network, nowMs, networkInterval)
    }
    if (sourceInterval !== 0) {
      if (source < 0) source = sources.insert(view.sourceHigh, view.sourceLow, tag, nowMs)
      take(sources.fullAtMs, source, nowMs, sourceInterval)
    }
    this.#admittedSlot = source
    return WITHIN_LIMIT
  }

  /** A bucket apart from the one that the source had as a stranger: what it owed there is forgotten. */
  #admitKnown(view: PacketView, tag: number, limit: number, policy: CompiledPolicy, nowMs: number): Reason {
    const { sources } = this.buckets
    const interval = policy.intervalMs[limit]!
    let source = sources.find(view.sourceHigh, view.sourceLow, tag | KNOWN_TAG)
    if (source < 0) source = sources.insert(view.sourceHigh, view.sourceLow, tag | KNOWN_TAG, nowMs)
    if (isEmpty(sources.fullAtMs, source, nowMs, interval, policy.toleranceMs[limit]!))
      return this.#refuse(BY_KNOWN, KNOWN_LIMIT)
    take(sources.fullAtMs, source, nowMs, interval)
    this.#admittedSlot = -1
    return KNOWN_GOOD
  }

  #refuse(reason: Reason, kind: number): Reason {
    this.refusedKind = kind
    return reason
  }

  /** Notes the buckets that `admit` will look at for `view`: they are in the cache after `fetch`. */
  expect(view: PacketView, service: number): void {
    const { sources, networks } = this.buckets
    const tag = bucketTag(service, view.family)
    sources.expect(view.sourceHigh, view.sourceLow, tag)
    networks.expect(view.sourceHigh, networkBits(view), tag)
  }

  fetch(): void {
    this.buckets.sources.ahead.fetch()
    this.buckets.networks.ahead.fetch()
  }

  /** How a source is known to a service. */
  knownAs(view: PacketView, service: number, nowMs: number): Known {
    return this.buckets.known.source(view, service, nowMs)
  }

  /** Takes note that the source that was admitted last is here. */
  attend(nowMs: number): void {
    if (this.#admittedSlot >= 0) this.buckets.sources.attend(this.#admittedSlot, nowMs)
  }

  /** The source of `view` has done what steady clients do not: from now on it has just come. */
  unsettle(view: PacketView, service: number): void {
    const slot = this.sourceSlot(view, service)
    if (slot >= 0) this.buckets.sources.unsettle(slot)
  }

  /** For how long, in ms, the owner of `sourceSlot` had been asking the service at `atMs`, without a pause or a refusal. */
  attendedMs(slot: number, atMs: number): number {
    return slot < 0 ? 0 : this.buckets.sources.attendedMs(slot, atMs)
  }

  /** Where the source of `view` has its bucket at the service, or -1. */
  sourceSlot(view: PacketView, service: number): number {
    return this.buckets.sources.find(view.sourceHigh, view.sourceLow, bucketTag(service, view.family))
  }
}

function isEmpty(
  fullAtMs: Float64Array,
  at: number,
  nowMs: number,
  intervalMs: number,
  toleranceMs: number,
): boolean {
  const latestMs = nowMs + toleranceMs
  const debtMs = fullAtMs[at]!
  if (debtMs <= latestMs) return false
  // A tighter policy or a clock that jumped back may have left more debt than a burst can hold.
  const mostMs = latestMs + intervalMs
  if (debtMs > mostMs) fullAtMs[at] = mostMs
  return true
}

function take(fullAtMs: Float64Array, at: number, nowMs: number, intervalMs: number): void {
  const fromMs = fullAtMs[at]!
  // To add in both branches spares a box for what they have in common.
  fullAtMs[at] = fromMs > nowMs ? fromMs + intervalMs : nowMs + intervalMs
}
