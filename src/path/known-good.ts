import { randomFillSync } from 'node:crypto'
import { addressBits, type Prefix } from '../net/prefix.ts'
import type { PacketView } from './decode.ts'

/** How a source has earned its place: `trusted` by sessions that succeeded, `resolver` as a proven client of DNS. */
export const Known = { none: 0, trusted: 1, resolver: 2 } as const
export type Known = (typeof Known)[keyof typeof Known]

type Who = Pick<PacketView, 'family' | 'sourceHigh' | 'sourceLow'>

const SETS = 8192
const WAYS = 8
/** Version, high and low half of the key, tag, end in whole seconds, kind; two to spare. */
const SLOT_WORDS = 8
const [VERSION, HIGH, LOW, TAG, UNTIL, KIND] = [0, 1, 2, 3, 4, 5]
/** Entries, entries that gave way, two random words of the hash; four to spare. */
const HEADER_WORDS = 8

/**
 * Sources that are known good, for each service by itself: what somebody has shown to one says nothing to
 * another. A table in shared memory, 65,536 slots in 2 MiB, with one writer, the control thread, and every path thread
 * reading without a lock.
 *
 * How no reader takes a half-written entry for his: each slot has a version, which is odd while the writer
 * is at work. The writer stores version + 1, then key, end and kind, then version + 2. The reader loads the
 * version, the entry, and the version again, and believes the entry only if it found the same even number
 * twice. All of these are Atomics, which are sequentially consistent (ECMA-262, 29.10): had one of the
 * reader's loads seen a store of the writer's, the version before it would be odd, or different after it.
 * A reader who meets the writer takes the source for a stranger, once. To make an entry last longer is one
 * store of one word, so it hides nobody.
 *
 * When a set is full, the entry that ends first gives way: its source is a stranger until it is entered
 * again. Strangers enter nobody, so they cannot wash out who belongs.
 */
export class KnownGood {
  static readonly BYTES = (HEADER_WORDS + SETS * WAYS * SLOT_WORDS) * 4

  declare private readonly words: Int32Array

  /** @param memory `BYTES` bytes that `create` has made */
  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory)
  }

  /** Memory of an empty table. @param seed two words; random, so that nobody can aim at one set */
  static create(seed: Uint32Array = randomFillSync(new Uint32Array(2))): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(KnownGood.BYTES)
    new Uint32Array(memory).set(seed.subarray(0, 2), 2)
    return memory
  }

  /** Slots in use, of entries that are over too until another takes their place. */
  get size(): number {
    return this.words[0]!
  }

  /** Entries that gave way before their end. */
  get evictions(): number {
    return this.words[1]!
  }

  /** For the path: how the source of `view` is known to a service, by the slot of that. Never a wrong yes. */
  source(view: Who, service: number, nowMs: number): Known {
    if (this.words[0] === 0) return Known.none
    return this.#find(view.sourceHigh, view.sourceLow, tagOf(service, view.family, false), nowMs)
  }

  /** For the path: how the network of the source is known. `networkLow` as from `networkBits`. */
  network(view: Who, networkLow: number, service: number, nowMs: number): Known {
    if (this.words[0] === 0) return Known.none
    return this.#find(view.sourceHigh, networkLow, tagOf(service, view.family, true), nowMs)
  }

  /**
   * For the control thread: enters a source (IPv4 address, IPv6 /64) or a network (/24, /48), or moves its end.
   *
   * @param untilMs CLOCK_MONOTONIC, as the path's; rounded down to seconds
   * @param nowMs by which an entry that gives way is counted as lost or over
   */
  set(prefix: Prefix, service: number, kind: Known, untilMs: number, nowMs: number): void {
    const key = keyOf(prefix, service)
    const until = Math.max(0, Math.floor(untilMs / 1000))
    const at = this.#slotOf(key)
    if (at >= 0 && this.words[at + KIND] === kind) Atomics.store(this.words, at + UNTIL, until)
    else this.#write(at >= 0 ? at : this.#victim(key, nowMs), key, until, kind)
  }

  /** For the control thread: takes a source or network out. */
  delete(prefix: Prefix, service: number): void {
    const at = this.#slotOf(keyOf(prefix, service))
    if (at < 0) return
    this.#write(at, { high: 0, low: 0, tag: 0 }, 0, Known.none)
    this.words[0]!--
  }

  #find(high: number, low: number, tag: number, nowMs: number): Known {
    const words = this.words
    const first = this.#setOf(high, low, tag)
    for (let at = first; at < first + WAYS * SLOT_WORDS; at += SLOT_WORDS) {
      const version = Atomics.load(words, at + VERSION)
      if (Atomics.load(words, at + LOW) !== low || Atomics.load(words, at + HIGH) !== high) continue
      if (Atomics.load(words, at + TAG) !== tag) continue
      const until = Atomics.load(words, at + UNTIL)
      const kind = Atomics.load(words, at + KIND) as Known
      if ((version & 1) === 1 || Atomics.load(words, at + VERSION) !== version) continue
      return until * 1000 > nowMs ? kind : Known.none
    }
    return Known.none
  }

  #write(at: number, { high, low, tag }: Key, until: number, kind: Known): void {
    const words = this.words
    const version = words[at + VERSION]!
    Atomics.store(words, at + VERSION, version + 1)
    Atomics.store(words, at + HIGH, high)
    Atomics.store(words, at + LOW, low)
    Atomics.store(words, at + TAG, tag)
    Atomics.store(words, at + UNTIL, until)
    Atomics.store(words, at + KIND, kind)
    Atomics.store(words, at + VERSION, version + 2)
  }

  #slotOf({ high, low, tag }: Key): number {
    const words = this.words
    const first = this.#setOf(high, low, tag)
    for (let at = first; at < first + WAYS * SLOT_WORDS; at += SLOT_WORDS) {
      if (words[at + LOW] === low && words[at + HIGH] === high && words[at + TAG] === tag) return at
    }
    return -1
  }

  /** A free slot for `key`, or the one whose entry ends first. */
  #victim({ high, low, tag }: Key, nowMs: number): number {
    const words = this.words
    const first = this.#setOf(high, low, tag)
    let victim = first
    for (let at = first; at < first + WAYS * SLOT_WORDS; at += SLOT_WORDS) {
      if (words[at + TAG] === 0) {
        words[0]!++
        return at
      }
      if (words[at + UNTIL]! < words[victim + UNTIL]!) victim = at
    }
    if (words[victim + UNTIL]! * 1000 > nowMs) words[1]!++
    return victim
  }

  /** The index of the first word of the set: the hash of src/path/table.ts. */
  #setOf(high: number, low: number, tag: number): number {
    let hash = Math.imul(low ^ this.words[2]!, 0x9e3779b1)
    hash = Math.imul(hash ^ (hash >>> 15) ^ high ^ this.words[3]!, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13) ^ tag, 0xc2b2ae35)
    hash ^= hash >>> 16
    return HEADER_WORDS + Math.floor((hash >>> 0) * SETS * 2 ** -32) * WAYS * SLOT_WORDS
  }
}

interface Key {
  readonly high: number
  readonly low: number
  readonly tag: number
}

function keyOf({ family, bytes, length }: Prefix, service: number): Key {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const isNetwork = length < (family === 4 ? addressBits(4) : 64)
  const tag = tagOf(service, family, isNetwork)
  if (family === 4) return { high: 0, low: view.getInt32(0), tag }
  return { high: view.getInt32(0), low: view.getInt32(4), tag }
}

/** Never 0, which marks a free slot. */
function tagOf(service: number, family: 4 | 6, isNetwork: boolean): number {
  return 0x100 | (service << 2) | (isNetwork ? 2 : 0) | (family === 6 ? 1 : 0)
}
