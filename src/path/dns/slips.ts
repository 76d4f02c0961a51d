import type { CompiledPolicy } from '../compile.ts'
import type { PacketView } from '../decode.ts'
import { DnsKind, type DnsMessage } from './message.ts'
import { Retries } from './retries.ts'

/** Odd, so that slips do not share the random numbers of the tables. */
const SLIP_SEED = 0x51170001

/** Replies of so much time may go at once. */
const BURST_MS = 1000

/** The rate is halved: one bucket for those who ask the same again, one for all. */
const RETRY = 0
const CHANCE = 1
const SHARES = 2

/**
 * Which refused queries are answered with TC=1. A query that its source asks again is, as resolvers do that get no
 * answer: one reply a second to each source. Of all others chance picks one in `slip`, so that nobody can see to it
 * that it always hits another.
 *
 * Half of `slipRate` is for retries, half for all alike, and each half has what the other leaves. So a flood in which
 * nobody asks twice hides no resolver's second try, and one that is forged twice wins no more than it would without
 * that half: its part of all queries.
 */
export class Slips {
  readonly #retries: Retries
  /** When each bucket is full again, as in limits.ts. */
  readonly #fullAtMs = new Float64Array(SHARES)
  readonly #random = new Uint32Array(1)

  constructor(seed: number) {
    this.#retries = new Retries(seed)
    this.#random[0] = (seed ^ SLIP_SEED) | 1
  }

  /** Whether the refused datagram is to be answered: only a query whose whole question is there can be. */
  choose(
    bytes: Uint8Array,
    view: PacketView,
    message: DnsMessage,
    policy: CompiledPolicy,
    nowMs: number,
  ): boolean {
    if (policy.slip === 0 || message.questionEnd === 0 || message.kind > DnsKind.reverse) return false
    const isRetry = this.#retries.isRetry(bytes, view, message, nowMs)
    if (isRetry && this.#hasToken(RETRY, nowMs, BURST_MS) && this.#retries.help(view, nowMs)) {
      return this.#take(RETRY, policy, nowMs)
    }
    if (!this.#isPicked(policy.slip)) return false
    if (this.#hasToken(CHANCE, nowMs, BURST_MS)) return this.#take(CHANCE, policy, nowMs)
    return this.#hasToken(RETRY, nowMs, BURST_MS / 2) && this.#take(RETRY, policy, nowMs)
  }

  #isPicked(slip: number): boolean {
    let random = this.#random[0]!
    random ^= random << 13
    random ^= random >>> 17
    random ^= random << 5
    this.#random[0] = random
    return (random >>> 0) % slip === 0
  }

  #hasToken(share: number, nowMs: number, debtMs: number): boolean {
    return this.#fullAtMs[share]! <= nowMs + debtMs
  }

  #take(share: number, policy: CompiledPolicy, nowMs: number): true {
    this.#fullAtMs[share] = Math.max(this.#fullAtMs[share]!, nowMs) + policy.slipIntervalMs * SHARES
    return true
  }
}
