const WAYS = 8
const SETS = 64
const ENTRIES = WAYS * SETS
/** Key (high, low, family with a detail), count, and by how much it may be too high. */
const FIELDS = 5

/** What is shown is of this time and the one before: of the last ten to twenty minutes. */
const PERIOD_MS = 600_000

/** One of those that were counted most often. */
export interface HeavyHitter {
  readonly high: number
  readonly low: number
  readonly family: 4 | 6
  readonly detail: number
  /** At least so often: the true count is not lower. */
  readonly count: number
}

/**
 * Who is counted most often: Space-Saving (Metwally, Agrawal, El Abbadi 2005) in a set-associative table in
 * shared memory. A newcomer to a full set takes the place of the one counted least, and its count as what its
 * own may be too high by. So whoever makes up more than an eighth of what his set sees is in it, however many
 * forged addresses pass by; those who are forgotten were counted less often than any that is shown in their set.
 */
export class HeavyHitters {
  static readonly BYTES = 8 + 2 * ENTRIES * FIELDS * 4
  readonly #period: Float64Array
  readonly #entries: Uint32Array
  readonly #seed: number

  /** @param memory `HeavyHitters.BYTES`, zeroed when new. @param seed random, so that nobody can aim at a set. */
  constructor(memory: SharedArrayBuffer, seed: Uint32Array) {
    this.#period = new Float64Array(memory, 0, 1)
    this.#entries = new Uint32Array(memory, 8)
    this.#seed = seed[0]!
  }

  /** Counts a key once more. `detail`: 0 to 255, part of the key. */
  count(high: number, low: number, family: 4 | 6, detail: number, nowMs: number): void {
    const period = Math.floor(nowMs / PERIOD_MS)
    if (period !== this.#period[0]) this.#begin(period)
    const tag = family * 256 + detail
    let hash = Math.imul(low ^ this.#seed, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ high, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13) ^ tag, 0xc2b2ae35)
    const set = (hash ^ (hash >>> 16)) & (SETS - 1)
    this.#add(((period & 1) * ENTRIES + set * WAYS) * FIELDS, high, low, tag)
  }

  /** Those counted most often, the most frequent first. */
  top(most: number, nowMs: number): HeavyHitter[] {
    const period = Math.floor(nowMs / PERIOD_MS)
    const totals = new Map<string, HeavyHitter>()
    for (const each of [period, period - 1]) {
      // Of a table that nobody has counted in since, only the later half can be of this time.
      if (each > this.#period[0]! || each < this.#period[0]! - 1) continue
      for (const hitter of this.#read(each & 1)) {
        const key = `${hitter.high} ${hitter.low} ${hitter.family} ${hitter.detail}`
        totals.set(key, { ...hitter, count: hitter.count + (totals.get(key)?.count ?? 0) })
      }
    }
    return [...totals.values()].sort((a, b) => b.count - a.count).slice(0, most)
  }

  #begin(period: number): void {
    const isNext = period === this.#period[0]! + 1
    const half = ENTRIES * FIELDS
    if (isNext) this.#entries.fill(0, (period & 1) * half, ((period & 1) + 1) * half)
    else this.#entries.fill(0)
    this.#period[0] = period
  }

  #add(first: number, high: number, low: number, tag: number): void {
    const entries = this.#entries
    let least = first
    for (let at = first; at < first + WAYS * FIELDS; at += FIELDS) {
      if (entries[at + 1] === low && entries[at] === high && entries[at + 2] === tag) {
        entries[at + 3]!++
        return
      }
      if (entries[at + 3]! < entries[least + 3]!) least = at
    }
    entries[least] = high
    entries[least + 1] = low
    entries[least + 2] = tag
    entries[least + 4] = entries[least + 3]!
    entries[least + 3]!++
  }

  #read(half: number): HeavyHitter[] {
    const found: HeavyHitter[] = []
    for (let i = 0; i < ENTRIES; i++) {
      const at = (half * ENTRIES + i) * FIELDS
      const [high = 0, low = 0, tag = 0, count = 0, tooHigh = 0] = this.#entries.subarray(at, at + FIELDS)
      if (count <= tooHigh) continue
      found.push({ high, low, family: tag >> 8 === 6 ? 6 : 4, detail: tag & 255, count: count - tooHigh })
    }
    return found
  }
}
