import { ReadAhead } from './read-ahead.ts'

const WAYS = 3
const SLOTS_PER_ENTRY = 2

/** How long somebody has been here is kept in steps of 16 s, and up to nine hours of them: half of what 12 bits hold. */
const STEP_MS = 16_000
const STEP_MASK = 0xfff
const MOST_STEPS = STEP_MASK >> 1

/** A client that looks up a name now and then has pauses of some seconds: two minutes. */
const PAUSE_STEPS = 8

/** One set: a cache line. */
const SET_BYTES = 64

/** The 32-bit words of a set behind its three buckets, which are doubles; each but the first has one for each way. */
const TAGS = 6
const LOWS = 7
const HIGHS = 10
const STRIKES = 13

/** Bits of a tag; three share a word. */
const TAG_BITS = 10
const TAG_MASK = 2 ** TAG_BITS - 1
const LAST_TAG = TAG_MASK << (TAG_BITS * (WAYS - 1))

/** More sets than 8 GiB hold. That an index is no more spares the compiled code its overflow checks. */
const SET_MASK = 2 ** 27 - 1

/**
 * Buckets by source, in typed arrays over shared memory. A set is one cache line with three buckets, their
 * keys and strikes, since it is memory that a look-up waits for. A key may be in either of two sets, the second
 * only if the first is full; with two slots for each entry that is promised, hardly any pair overflows. The
 * hash that names the sets is seeded at random, since a sender who knew it could aim at one of them.
 *
 * A pair that overflows forgets the bucket that is nearest to being full again. Forgetting a full bucket
 * costs nothing: a new one is full as well. Forgetting another hands its owner a fresh burst and clears
 * his strikes. A source far over its limit is the last to be forgotten, so a flood of forged addresses
 * cannot wash a real offender out.
 *
 * One thread writes; the memory outlives it, so that its successor goes on with the same buckets.
 */
export class BucketTable {
  /** GCRA's one number for each slot: the time in ms at which the bucket is full again. */
  declare readonly fullAtMs: Float64Array
  declare private readonly words: Int32Array
  declare readonly ahead: ReadAhead
  /** Sets for each of the 2^32 hashes. */
  declare private readonly scale: number
  declare private readonly seed0: number
  declare private readonly seed1: number
  /** Occupied slots, and buckets forgotten before they were full: both for the metrics. */
  declare private readonly stats: Float64Array

  /** Slots in so many bytes of memory. */
  static slots(bytes: number): number {
    return (bytes / SET_BYTES) * WAYS
  }

  /** Numbers the slots from 0 without gaps, for who keeps a record of each. */
  static numberOf(slot: number): number {
    return (slot >> 3) * WAYS + (slot & 7)
  }

  /** The slot that `numberOf` has numbered. */
  static placeOf(number: number): number {
    return Math.floor(number / WAYS) * 8 + (number % WAYS)
  }

  /** Bytes of memory for `entries` sources. */
  static bytes(entries: number): number {
    return Math.max(1, Math.ceil((entries * SLOTS_PER_ENTRY) / WAYS)) * SET_BYTES
  }

  /**
   * @param memory `BucketTable.bytes(entries)` bytes, zeroed when new
   * @param stats two numbers: occupied slots, evictions
   * @param seed two random 32-bit numbers that stay with `memory`
   */
  constructor(memory: SharedArrayBuffer, stats: Float64Array, seed: Uint32Array) {
    this.fullAtMs = new Float64Array(memory)
    this.words = new Int32Array(memory)
    this.ahead = new ReadAhead(this.words)
    this.scale = memory.byteLength / SET_BYTES / 2 ** 32
    this.stats = stats
    this.seed0 = seed[0]! | 0
    this.seed1 = seed[1]! | 0
  }

  /**
   * The slot of a key, or -1.
   *
   * @param high with `low`, the 64 bits of an address, in either sign
   * @param tag 1 to 1023: tells apart what shares an address: family, service
   */
  find(high: number, low: number, tag: number): number {
    const words = this.words
    const hash = this.#hash(high, low, tag)
    const at = this.#setOf(hash)
    // Hardly a key is elsewhere while the table is far from full.
    if (
      words[at + LOWS] === (low | 0) &&
      words[at + HIGHS] === (high | 0) &&
      (words[at + TAGS]! & TAG_MASK) === tag
    )
      return at >> 1
    return this.#findElsewhere(at, hash, high, low, tag)
  }

  /**
   * Notes that `find` will be asked for a key; `ahead.fetch` then has it in the cache.
   *
   * @returns the slot where it is most likely: hardly a key is elsewhere while the table is far from full
   */
  expect(high: number, low: number, tag: number): number {
    const at = this.#setOf(this.#hash(high, low, tag))
    this.ahead.note(at)
    return at >> 1
  }

  /** Takes a slot for a key that `find` did not find; its bucket is full and it has no strikes. */
  insert(high: number, low: number, tag: number, nowMs: number): number {
    const words = this.words
    const slot = this.#victim(this.#hash(high, low, tag), nowMs)
    const at = (slot & ~7) << 1
    const way = slot & 7
    const shift = TAG_BITS * way
    words[at + TAGS] = (words[at + TAGS]! & ~(TAG_MASK << shift)) | (tag << shift)
    words[at + LOWS + way] = low
    words[at + HIGHS + way] = high
    words[at + STRIKES + way] = 0
    this.fullAtMs[slot] = nowMs
    return slot
  }

  /**
   * Counts a strike. The count starts with the first strike and is forgotten `windowSeconds` after it.
   *
   * @returns the strikes so far, at most 255
   */
  strike(slot: number, nowMs: number, windowSeconds: number): number {
    const at = strikesIndex(slot)
    // 24 bits of seconds and 8 of count share a word; the seconds wrap after 194 days, and a record
    // that old is met again by chance only.
    const second = Math.floor(nowMs / 1000) & 0xffffff
    const word = this.words[at]!
    const count = word & 0xff
    const first = word >>> 8
    const isOpen = count > 0 && ((second - first) & 0xffffff) < windowSeconds
    const next = isOpen ? Math.min(255, count + 1) : 1
    this.words[at] = ((isOpen ? first : second) << 8) | next
    return next
  }

  clearStrikes(slot: number): void {
    this.words[strikesIndex(slot)] = 0
  }

  /** The strikes of `slot` that still count; changes nothing. `leftMs`: until they are forgotten. */
  strikesOf(slot: number, nowMs: number, windowSeconds: number): { count: number; leftMs: number } {
    const word = this.words[strikesIndex(slot)]!
    const age = (Math.floor(nowMs / 1000) - (word >>> 8)) & 0xffffff
    if ((word & 0xff) === 0 || age >= windowSeconds) return { count: 0, leftMs: 0 }
    return { count: word & 0xff, leftMs: (windowSeconds - age) * 1000 }
  }

  /**
   * Takes note that the owner of a slot without strikes is here. The word of the strikes then holds 12 bits of
   * the step since which he has been, without a pause of more than `PAUSE_STEPS`, and 12 of the last one.
   */
  attend(slot: number, nowMs: number): void {
    const at = strikesIndex(slot)
    const word = this.words[at]!
    if ((word & 0xff) !== 0) return
    const step = Math.floor(nowMs / STEP_MS)
    const last = (word >>> 8) & STEP_MASK
    if (word !== 0 && last === (step & STEP_MASK)) return
    const isHere = word !== 0 && ((step - last) & STEP_MASK) <= PAUSE_STEPS
    let since = isHere ? word >>> 20 : step + 1
    if (isHere && ((step - since) & STEP_MASK) > MOST_STEPS) since = step - MOST_STEPS
    this.words[at] = ((since & STEP_MASK) << 20) | ((step & STEP_MASK) << 8)
  }

  /** For how long, in ms, the owner of a slot had been here at `atMs`; 0 when he came later or had left. */
  attendedMs(slot: number, atMs: number): number {
    const word = this.words[strikesIndex(slot)]!
    if (word === 0 || (word & 0xff) !== 0) return 0
    const step = Math.floor(atMs / STEP_MS)
    const last = (word >>> 8) & STEP_MASK
    const pause = (step - last) & STEP_MASK
    if (pause > PAUSE_STEPS && pause <= MOST_STEPS) return 0
    const until = pause <= PAUSE_STEPS ? last : step
    const steps = (until - (word >>> 20)) & STEP_MASK
    return steps <= MOST_STEPS ? steps * STEP_MS : 0
  }

  /** From now on he has just come. */
  unsettle(slot: number): void {
    const at = strikesIndex(slot)
    if ((this.words[at]! & 0xff) === 0) this.words[at] = 0
  }

  /** All slots whose key has `tag`, with the rest of the key. The path may change them meanwhile. */
  *slotsOf(tag: number): Generator<{ readonly slot: number; readonly high: number; readonly low: number }> {
    const { words } = this
    for (let at = 0; at < words.length; at += SET_BYTES / Int32Array.BYTES_PER_ELEMENT) {
      for (let way = 0; way < WAYS; way++) {
        if (((words[at + TAGS]! >> (TAG_BITS * way)) & TAG_MASK) !== tag) continue
        yield { slot: (at >> 1) + way, high: words[at + HIGHS + way]!, low: words[at + LOWS + way]! }
      }
    }
  }

  #findElsewhere(first: number, hash: number, high: number, low: number, tag: number): number {
    const way = this.#wayOf(first, high, low, tag)
    if (way < WAYS) return (first >> 1) + way
    if ((this.words[first + TAGS]! & LAST_TAG) === 0) return -1
    const second = this.#setOf(rehash(hash))
    const other = this.#wayOf(second, high, low, tag)
    return other < WAYS ? (second >> 1) + other : -1
  }

  #wayOf(at: number, high: number, low: number, tag: number): number {
    const words = this.words
    const tags = words[at + TAGS]!
    for (let way = 0; way < WAYS; way++) {
      if (words[at + LOWS + way] !== (low | 0) || words[at + HIGHS + way] !== (high | 0)) continue
      if (((tags >> (TAG_BITS * way)) & TAG_MASK) === tag) return way
    }
    return WAYS
  }

  #victim(hash: number, nowMs: number): number {
    const first = this.#setOf(hash)
    const second = this.#setOf(rehash(hash))
    let victim = first >> 1
    for (let i = 0; i < 2 * WAYS; i++) {
      const at = i < WAYS ? first : second
      const way = i < WAYS ? i : i - WAYS
      const slot = (at >> 1) + way
      if ((this.words[at + TAGS]! & (TAG_MASK << (TAG_BITS * way))) === 0) {
        this.stats[0]!++
        return slot
      }
      if (this.fullAtMs[slot]! < this.fullAtMs[victim]!) victim = slot
    }
    if (this.fullAtMs[victim]! > nowMs) this.stats[1]!++
    return victim
  }

  /** Two rounds of a multiplicative mix, seeded before each, so that no collision can be computed beforehand. */
  #hash(high: number, low: number, tag: number): number {
    let hash = Math.imul(low ^ this.seed0, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ high ^ this.seed1, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13) ^ tag, 0xc2b2ae35)
    return hash ^ (hash >>> 16)
  }

  /** Where the set of a hash begins in `words`. A slot is half of it, and the way: its index in `fullAtMs`. */
  #setOf(hash: number): number {
    return (((hash >>> 0) * this.scale) & SET_MASK) << 4
  }
}

/** Another hash, for the second set. */
function rehash(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x27d4eb2f)
  return mixed ^ (mixed >>> 13)
}

function strikesIndex(slot: number): number {
  return ((slot & ~7) << 1) + STRIKES + (slot & 7)
}
