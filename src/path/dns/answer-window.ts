/** 2^12 registers: the estimate is off by 1.6 % (1.04 / sqrt(4096)) on average. */
const INDEX_BITS = 12
const REGISTERS = 1 << INDEX_BITS

const MINUTE_MS = 60_000

/** What came within a whole minute. */
export interface MinuteOfAnswers {
  readonly count: number
  /** From how many different sources, within a few per cent. */
  readonly sources: number
}

/**
 * How many unsolicited answers come in a minute, and from how many sources: HyperLogLog (Flajolet, Fusy,
 * Gandouet, Meunier 2007) over this minute and the last whole one, in constant memory however many there are.
 */
export class AnswerWindow {
  static readonly BYTES = 3 * 8 + 2 * REGISTERS
  /** The minute that is being counted, its count, and that of the minute before. */
  readonly #numbers: Float64Array
  readonly #registers: Uint8Array
  readonly #seed: number

  constructor(memory: SharedArrayBuffer, seed: Uint32Array) {
    this.#numbers = new Float64Array(memory, 0, 3)
    this.#registers = new Uint8Array(memory, 3 * 8)
    this.#seed = seed[1]!
  }

  count(high: number, low: number, nowMs: number): void {
    const minute = Math.floor(nowMs / MINUTE_MS)
    if (minute !== this.#numbers[0]) this.#begin(minute)
    this.#numbers[1]!++
    let hash = Math.imul(low ^ this.#seed, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ high, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    hash = (hash ^ (hash >>> 16)) >>> 0
    const at = (minute & 1) * REGISTERS + (hash >>> (32 - INDEX_BITS))
    // The place of the first 1 among the other 20 bits; the bit below them ends the search.
    const rank = Math.clz32((hash << INDEX_BITS) | (1 << (INDEX_BITS - 1))) + 1
    if (rank > this.#registers[at]!) this.#registers[at] = rank
  }

  /** The last whole minute, over all `windows`, each of which counts other sources or the same. */
  static lastMinute(windows: readonly AnswerWindow[], nowMs: number): MinuteOfAnswers {
    const minute = Math.floor(nowMs / MINUTE_MS) - 1
    const most = new Uint8Array(REGISTERS)
    let count = 0
    for (const window of windows) {
      const counted = window.#countOf(minute)
      count += counted
      if (counted === 0) continue
      const first = (minute & 1) * REGISTERS
      for (let i = 0; i < REGISTERS; i++) most[i] = Math.max(most[i]!, window.#registers[first + i]!)
    }
    return { count, sources: count === 0 ? 0 : Math.min(count, estimate(most)) }
  }

  #countOf(minute: number): number {
    const [current = 0, count = 0, before = 0] = this.#numbers
    if (minute === current) return count
    return minute === current - 1 ? before : 0
  }

  #begin(minute: number): void {
    const isNext = minute === this.#numbers[0]! + 1
    this.#numbers[2] = isNext ? this.#numbers[1]! : 0
    this.#numbers[1] = 0
    this.#numbers[0] = minute
    this.#registers.fill(0, (minute & 1) * REGISTERS, ((minute & 1) + 1) * REGISTERS)
  }
}

function estimate(registers: Uint8Array): number {
  let sum = 0
  let empty = 0
  for (const rank of registers) {
    sum += 2 ** -rank
    if (rank === 0) empty++
  }
  const raw = ((0.7213 / (1 + 1.079 / REGISTERS)) * REGISTERS ** 2) / sum
  // While few are there, the empty registers tell more (linear counting).
  return Math.round(raw <= 2.5 * REGISTERS && empty > 0 ? REGISTERS * Math.log(REGISTERS / empty) : raw)
}
