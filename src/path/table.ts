const WAYS = 8
const SLOTS_PER_ENTRY = 2

/** A client that looks up a name now and then has pauses of some seconds; these are minutes begun. */
const PAUSE_MINUTES = 2

/** Bytes of one slot: high and low half of the key, tag, strikes (4 each), and the bucket (8). */
const SLOT_BYTES = 24

/**
 * Buckets by source, in typed arrays over shared memory: an 8-way set-associative table with two slots
 * for each entry that it promises, so that few sets overflow. A key may be in one set only; the hash that
 * names the set is seeded at random, since a sender who knew it could aim at one set.
 *
 * A set that overflows forgets the bucket that is nearest to being full again. Forgetting a full bucket
 * costs nothing: a new one is full as well. Forgetting another hands its owner a fresh burst and clears
 * his strikes. A source far over its limit is the last to be forgotten, so a flood of forged addresses
 * cannot wash a real offender out.
 *
 * One thread inserts; the memory outlives it, so that its successor goes on with the same buckets. The
 * control thread reads, and may fill a bucket and clear its strikes (bucket-reader.ts).
 */
export class BucketTable {
  /** GCRA's one number for each slot: the time in ms at which the bucket is full again. */
  readonly fullAtMs: Float64Array
  readonly #keys: Uint32Array
  readonly #sets: number
  readonly #seed: Uint32Array
  /** Occupied slots, and buckets forgotten before they were full: both for the metrics. */
  readonly #stats: Float64Array

  /** Slots in so many bytes of memory. */
  static slots(bytes: number): number {
    return bytes / SLOT_BYTES
  }

  /** Bytes of memory for `entries` sources. */
  static bytes(entries: number): number {
    return setsFor(entries) * WAYS * SLOT_BYTES
  }

  /**
   * @param memory `BucketTable.bytes(entries)` bytes, zeroed when new
   * @param stats two numbers: occupied slots, evictions
   * @param seed two random 32-bit numbers that stay with `memory`
   */
  constructor(memory: SharedArrayBuffer, stats: Float64Array, seed: Uint32Array) {
    const slots = memory.byteLength / SLOT_BYTES
    this.#sets = slots / WAYS
    this.fullAtMs = new Float64Array(memory, 0, slots)
    this.#keys = new Uint32Array(memory, slots * 8, slots * 4)
    this.#stats = stats
    this.#seed = seed
  }

  /** The slot of a key, or -1. `tag` is not 0 and tells apart what shares an address: family, service. */
  find(high: number, low: number, tag: number): number {
    const keys = this.#keys
    const set = this.#setOf(high, low, tag)
    const first = set * WAYS * 4
    for (let at = first; at < first + WAYS; at++) {
      if (keys[at + 8] === low && keys[at] === high && keys[at + 16] === tag) return set * WAYS + at - first
    }
    return -1
  }

  /** Takes a slot for a key that `find` did not find; its bucket is full and it has no strikes. */
  insert(high: number, low: number, tag: number, nowMs: number): number {
    const keys = this.#keys
    const set = this.#setOf(high, low, tag)
    const slot = this.#victim(set * WAYS, nowMs)
    const at = keyIndex(slot)
    keys[at] = high
    keys[at + 8] = low
    keys[at + 16] = tag
    keys[at + 24] = 0
    this.fullAtMs[slot] = nowMs
    return slot
  }

  /**
   * Counts a strike. The count starts with the first strike and is forgotten `windowSeconds` after it.
   *
   * @returns the strikes so far, at most 255
   */
  strike(slot: number, nowMs: number, windowSeconds: number): number {
    const at = keyIndex(slot) + 24
    // 24 bits of seconds and 8 of count share a word; the seconds wrap after 194 days, and a record
    // that old is met again by chance only.
    const second = Math.floor(nowMs / 1000) & 0xffffff
    const word = this.#keys[at]!
    const count = word & 0xff
    const first = word >>> 8
    const isOpen = count > 0 && ((second - first) & 0xffffff) < windowSeconds
    const next = isOpen ? Math.min(255, count + 1) : 1
    this.#keys[at] = (((isOpen ? first : second) << 8) | next) >>> 0
    return next
  }

  clearStrikes(slot: number): void {
    this.#keys[keyIndex(slot) + 24] = 0
  }

  /** The strikes of `slot` that still count; changes nothing. `leftMs`: until they are forgotten. */
  strikesOf(slot: number, nowMs: number, windowSeconds: number): { count: number; leftMs: number } {
    const word = this.#keys[keyIndex(slot) + 24]!
    const age = (Math.floor(nowMs / 1000) - (word >>> 8)) & 0xffffff
    if ((word & 0xff) === 0 || age >= windowSeconds) return { count: 0, leftMs: 0 }
    return { count: word & 0xff, leftMs: (windowSeconds - age) * 1000 }
  }

  /**
   * Takes note that the owner of a slot without strikes is here. The word of the strikes then holds 16 bits of
   * the minute since which he has been, without a pause of more than `PAUSE_MINUTES`, and 8 of the last one.
   */
  attend(slot: number, nowMs: number): void {
    const at = keyIndex(slot) + 24
    const word = this.#keys[at]!
    if ((word & 0xff) !== 0) return
    const minute = Math.floor(nowMs / 60_000)
    const last = (word >>> 8) & 0xff
    const isHere = word !== 0 && ((minute - last) & 0xff) <= PAUSE_MINUTES
    const since = isHere ? word >>> 16 : (minute + 1) & 0xffff
    this.#keys[at] = ((since << 16) | ((minute & 0xff) << 8)) >>> 0
  }

  /** Whole minutes that the owner of a slot had been here at `atMs`; 0 when he came later. */
  attendedMinutes(slot: number, atMs: number): number {
    const word = this.#keys[keyIndex(slot) + 24]!
    if (word === 0 || (word & 0xff) !== 0) return 0
    const minutes = (Math.floor(atMs / 60_000) - (word >>> 16)) & 0xffff
    return minutes < 0x8000 ? minutes : 0
  }

  /** From now on he has just come. */
  unsettle(slot: number): void {
    const at = keyIndex(slot) + 24
    if ((this.#keys[at]! & 0xff) === 0) this.#keys[at] = 0
  }

  #victim(first: number, nowMs: number): number {
    let victim = first
    for (let slot = first; slot < first + WAYS; slot++) {
      if (this.#keys[keyIndex(slot) + 16] === 0) {
        this.#stats[0]!++
        return slot
      }
      if (this.fullAtMs[slot]! < this.fullAtMs[victim]!) victim = slot
    }
    if (this.fullAtMs[victim]! > nowMs) this.#stats[1]!++
    return victim
  }

  /** Two rounds of a multiplicative mix, seeded before each, so that no collision can be computed beforehand. */
  #setOf(high: number, low: number, tag: number): number {
    let hash = Math.imul(low ^ this.#seed[0]!, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ high ^ this.#seed[1]!, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13) ^ tag, 0xc2b2ae35)
    hash ^= hash >>> 16
    return Math.floor((hash >>> 0) * this.#sets * 2 ** -32)
  }
}

function setsFor(entries: number): number {
  return Math.max(1, Math.ceil((entries * SLOTS_PER_ENTRY) / WAYS))
}

/** Where a slot's key begins: each set has eight high halves, then eight low ones, tags and strikes. */
function keyIndex(slot: number): number {
  return ((slot & ~7) << 2) | (slot & 7)
}
