import type { CompiledPolicy } from '../compile.ts'

// Places in the shared numbers.
const SECOND = 0
const COUNT = 1
const LAST_RATE = 2
const LEVEL = 3
const FLOODED = 4
const SINCE = 5
const CALM = 6
const FLOODS = 7
/** When the bucket of each share is full again, as in limits.ts. */
const SHARES = 8

/**
 * Of what is no flood yet, a part is set apart during one, for sources of which something speaks that they are not
 * forged: `before`, that they were here before it began; `since`, that they have been asking other things meanwhile.
 * An attacker can have both, for addresses that he forges long enough: so it is a part, and one for each.
 */
export const FloodShare = { before: 0, since: 1 } as const
const PARTS = [1 / 2, 1 / 4]
export const NO_SHARE = -1

/** A share's tokens of so much time may be used at once. */
const SHARE_BURST_MS = 1000

/** The level at most doubles in a day: a flood that wants to become usual must last for days. */
const GROWTH = 2 ** (1 / 86_400)
/** It comes down 99 times slower than it goes up, so it settles where one second in a hundred is above it. */
const DECLINE = GROWTH ** (-1 / 99)

/** What a path thread knows of its share of the host's reverse queries. */
export interface ReverseRateState {
  readonly isFlooded: boolean
  /** Of the last whole second. */
  readonly perSecond: number
  readonly level: number
  /** When a flood begins. */
  readonly threshold: number
  /** When the state last changed, by the path's clock. */
  readonly sinceMs: number
  /** Since the start. */
  readonly floods: number
}

/**
 * The rate of the reverse queries of all sources that no limit of a source or network refuses, against its
 * learned level: a high quantile of the seconds, that moves by a tiny factor each second and never below
 * `usual`. The level is learned slowly on purpose, and not at all while a flood lasts. A flood begins in the
 * very second that counts more than `factor` times the level; it ends when all seconds of `calm` were below
 * half of that.
 *
 * The cost is a comparison for each query and some arithmetic for each second, however many sources there are.
 * The memory outlives the thread.
 */
export class ReverseRate {
  static readonly BYTES = (SHARES + PARTS.length) * 8

  declare private readonly numbers: Float64Array

  constructor(memory: SharedArrayBuffer) {
    this.numbers = new Float64Array(memory)
  }

  get isFlooded(): boolean {
    return this.numbers[FLOODED] === 1
  }

  /** When the flood began, or the last one ended. */
  get sinceMs(): number {
    return this.numbers[SINCE]!
  }

  /** Counts a query, of the second that `advance` has come to. */
  count(policy: CompiledPolicy, nowMs: number): void {
    const numbers = this.numbers
    numbers[COUNT]!++
    const level = Math.max(numbers[LEVEL]!, policy.usualPerSecond)
    if (numbers[FLOODED] === 0 && numbers[COUNT]! > policy.floodFactor * level) {
      numbers[FLOODED] = 1
      numbers[SINCE] = nowMs
      numbers[CALM] = 0
      numbers[FLOODS]!++
    }
  }

  /** Whether a share of `FloodShare` has a token left. */
  hasRoom(share: number, nowMs: number): boolean {
    return this.numbers[SHARES + share]! <= nowMs + SHARE_BURST_MS
  }

  /** Takes a token of a share. */
  take(share: number, policy: CompiledPolicy, nowMs: number): void {
    const numbers = this.numbers
    const at = SHARES + share
    const perSecond = numbers[LEVEL]! * policy.floodFactor * PARTS[share]!
    numbers[at] = Math.max(numbers[at]!, nowMs) + 1000 / perSecond
  }

  /** Closes the seconds that are over. A clock that jumps back costs the second it jumps in. */
  advance(policy: CompiledPolicy, nowMs: number): void {
    const numbers = this.numbers
    const sinceMs = nowMs - numbers[SECOND]! * 1000
    if (!(sinceMs >= 0 && sinceMs < 1000)) this.#advance(policy, nowMs)
  }

  #advance(policy: CompiledPolicy, nowMs: number): void {
    const numbers = this.numbers
    const second = Math.floor(nowMs / 1000)
    const passed = second - numbers[SECOND]!
    if (numbers[LEVEL]! < policy.usualPerSecond) numbers[LEVEL] = policy.usualPerSecond
    if (passed > 0) {
      this.#close(numbers[COUNT]!, 1, policy, nowMs)
      if (passed > 1) this.#close(0, passed - 1, policy, nowMs)
    }
    numbers[LAST_RATE] = passed === 1 ? numbers[COUNT]! : 0
    numbers[COUNT] = 0
    numbers[SECOND] = second
  }

  /** For the control thread. Nobody closes seconds while no query comes: then `nowMs` tells that it is calm. */
  state(policy: CompiledPolicy, nowMs: number): ReverseRateState {
    const numbers = this.numbers
    const idleSeconds = Math.floor(nowMs / 1000) - numbers[SECOND]!
    const level = Math.max(numbers[LEVEL]!, policy.usualPerSecond)
    return {
      isFlooded: numbers[FLOODED] === 1 && idleSeconds * 1000 <= policy.floodCalmMs,
      perSecond: idleSeconds > 1 ? 0 : numbers[LAST_RATE]!,
      level,
      threshold: level * policy.floodFactor,
      sinceMs: numbers[SINCE]!,
      floods: numbers[FLOODS]!,
    }
  }

  /** Closes `seconds` seconds with `count` queries each. */
  #close(count: number, seconds: number, policy: CompiledPolicy, nowMs: number): void {
    const numbers = this.numbers
    const level = numbers[LEVEL]!
    if (numbers[FLOODED] === 0) {
      if (count > level) numbers[LEVEL] = level * GROWTH
      else numbers[LEVEL] = Math.max(policy.usualPerSecond, level * DECLINE ** seconds)
      return
    }
    const isCalm = count < (policy.floodFactor * level) / 2
    numbers[CALM] = isCalm ? numbers[CALM]! + seconds : 0
    if (numbers[CALM]! * 1000 < policy.floodCalmMs) return
    numbers[FLOODED] = 0
    numbers[SINCE] = nowMs
  }
}
