const WAYS = 8
const SETS = 64

/** A set has a column of `WAYS` numbers for each of these: the key, the count, and by how much that may be too high. */
const LOWS = 0
const HIGHS = WAYS
const TAGS = 2 * WAYS
const COUNTS = 3 * WAYS
const EXCESSES = 4 * WAYS

/** And at its end: no count is lower than this, and from which way on to look for one that low. */
const LEAST = 5 * WAYS
const HAND = LEAST + 1
const SET_NUMBERS = HAND + 1

/** Of one period. */
const TABLE_NUMBERS = SETS * SET_NUMBERS

/** What is shown is of this time and the one before: of the last ten to twenty minutes. */
const PERIOD_MS = 600_000

/** So many of a period are counted each by itself. Of those behind them, one of 1 to `LONGEST_GAP` stands for all. */
const EXACT = 65_536
const LONGEST_GAP = 32

/** One of those that were counted most often. */
export interface HeavyHitter {
  readonly high: number
  readonly low: number
  readonly family: 4 | 6
  readonly detail: number
  /** At least so often; where most were sampled, an estimate of that. */
  readonly count: number
}

/**
 * Who is counted most often: Space-Saving (Metwally, Agrawal, El Abbadi 2005) in a set-associative table in
 * shared memory. A newcomer to a full set takes the place of the one counted least, and its count as what its
 * own may be too high by. So whoever makes up more than an eighth of what his set sees is in it, however many
 * forged addresses pass by; those who are forgotten were counted less often than any that is shown in their set.
 *
 * Where they are many, most are passed over, and one picked by chance stands for itself and those since the last one:
 * it is of who comes often. Of a key that came n times, the estimate is off by some 4 times the root of n: 4 % of 10,000.
 * A sender cannot aim between those that are picked.
 */
export class HeavyHitters {
  static readonly BYTES = 8 + 2 * TABLE_NUMBERS * 4
  declare private readonly period: Float64Array
  declare private readonly entries: Int32Array
  declare private readonly seed: number
  /** Up to and with the next one that is counted; and for how many that one stands. */
  #left = 1
  #gap = 1
  /** Of this period, without those that were passed over. */
  #counted = 0
  #random: number

  /** @param memory `HeavyHitters.BYTES`, zeroed when new. @param seed random, so that nobody can aim at a set. */
  constructor(memory: SharedArrayBuffer, seed: Uint32Array) {
    this.period = new Float64Array(memory, 0, 1)
    this.entries = new Int32Array(memory, 8)
    this.seed = seed[0]! | 0
    this.#random = this.seed | 1
  }

  /**
   * Counts a key once more.
   *
   * @param high with `low`, the 64 bits of an address, in either sign
   * @param detail 0 to 255, part of the key
   */
  count(high: number, low: number, family: 4 | 6, detail: number, nowMs: number): void {
    if (--this.#left <= 0) this.#count(high | 0, low | 0, family * 256 + detail, nowMs)
  }

  /** Those counted most often, the most frequent first; their keys are without sign. */
  top(most: number, nowMs: number): HeavyHitter[] {
    const period = Math.floor(nowMs / PERIOD_MS)
    const totals = new Map<string, HeavyHitter>()
    for (const each of [period, period - 1]) {
      // Of a table that nobody has counted in since, only the later half can be of this time.
      if (each > this.period[0]! || each < this.period[0]! - 1) continue
      for (const hitter of this.#read(each & 1)) {
        const key = `${hitter.high} ${hitter.low} ${hitter.family} ${hitter.detail}`
        totals.set(key, { ...hitter, count: hitter.count + (totals.get(key)?.count ?? 0) })
      }
    }
    return [...totals.values()].sort((a, b) => b.count - a.count).slice(0, most)
  }

  /** Apart, so that V8 needs not inline it wherever somebody is passed over. */
  #count(high: number, low: number, tag: number, nowMs: number): void {
    const sinceMs = nowMs - this.period[0]! * PERIOD_MS
    if (!(sinceMs >= 0 && sinceMs < PERIOD_MS)) this.#begin(Math.floor(nowMs / PERIOD_MS))
    let hash = Math.imul(low ^ this.seed, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ high, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13) ^ tag, 0xc2b2ae35)
    const set = (hash ^ (hash >>> 16)) & (SETS - 1)
    this.#add((this.period[0]! & 1) * TABLE_NUMBERS + set * SET_NUMBERS, high, low, tag)
    this.#counted++
    this.#gap = this.#nextGap()
    this.#left = this.#gap
  }

  #begin(period: number): void {
    const isNext = period === this.period[0]! + 1
    if (isNext) this.entries.fill(0, (period & 1) * TABLE_NUMBERS, ((period & 1) + 1) * TABLE_NUMBERS)
    else this.entries.fill(0)
    this.period[0] = period
    this.#counted = 0
    this.#gap = 1
  }

  /**
   * 1 while all are counted, then any of 1 to `LONGEST_GAP`, by xorshift (Marsaglia 2003). Without a branch: V8 would throw
   * the path's code away when it is taken for the first time, which is in a flood.
   */
  #nextGap(): number {
    let random = this.#random
    random ^= random << 13
    random ^= random >>> 17
    random ^= random << 5
    this.#random = random
    const isSampled = (EXACT - this.#counted) >> 31
    return 1 + (random & (LONGEST_GAP - 1) & isSampled)
  }

  #add(set: number, high: number, low: number, tag: number): void {
    const entries = this.entries
    for (let at = set; at < set + WAYS; at++) {
      if (entries[at] === low && entries[at + HIGHS] === high && entries[at + TAGS] === tag) {
        entries[at + COUNTS]! += this.#gap
        return
      }
    }
    const at = set + this.#leastOf(set)
    const least = entries[at + COUNTS]!
    entries[at + LOWS] = low
    entries[at + HIGHS] = high
    entries[at + TAGS] = tag
    entries[at + COUNTS] = least + this.#gap
    entries[at + EXCESSES] = least
  }

  /** The way that is counted least. Counts grow by one, so the next is mostly as low as the last, and found at once. */
  #leastOf(set: number): number {
    const entries = this.entries
    const least = entries[set + LEAST]!
    let way = entries[set + HAND]!
    for (let i = 0; i < WAYS; i++, way = (way + 1) & (WAYS - 1)) {
      if (entries[set + COUNTS + way] === least) break
    }
    if (entries[set + COUNTS + way] !== least) {
      way = 0
      for (let i = 1; i < WAYS; i++) if (entries[set + COUNTS + i]! < entries[set + COUNTS + way]!) way = i
      entries[set + LEAST] = entries[set + COUNTS + way]!
    }
    entries[set + HAND] = (way + 1) & (WAYS - 1)
    return way
  }

  #read(half: number): HeavyHitter[] {
    const found: HeavyHitter[] = []
    const entries = this.entries
    for (let set = half * TABLE_NUMBERS; set < (half + 1) * TABLE_NUMBERS; set += SET_NUMBERS) {
      for (let at = set; at < set + WAYS; at++) {
        const count = entries[at + COUNTS]! - entries[at + EXCESSES]!
        if (count <= 0) continue
        const tag = entries[at + TAGS]!
        found.push({
          high: entries[at + HIGHS]! >>> 0,
          low: entries[at + LOWS]! >>> 0,
          family: tag >> 8 === 6 ? 6 : 4,
          detail: tag & 255,
          count,
        })
      }
    }
    return found
  }
}
