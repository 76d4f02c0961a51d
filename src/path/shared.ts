import { randomFillSync } from 'node:crypto'
import { LIMIT_SETS } from './compile.ts'
import { PathCounters } from './counters.ts'
import { AnswerWindow } from './dns/answer-window.ts'
import { ReverseRate } from './dns/reverse-rate.ts'
import { Sweeps } from './dns/sweeps.ts'
import { HeavyHitters } from './heavy-hitters.ts'
import { lineMemory } from './line-memory.ts'
import { LookupRing } from './lookup-ring.ts'
import { NO_SERVICE } from './service-slots.ts'
import { SourceRing } from './source-ring.ts'
import { BucketTable } from './table.ts'
import { Timestamps } from './timestamps.ts'

/** Networks are fewer than sources; this many sources share a network's place in the table. */
const SOURCES_PER_NETWORK = 8

/** Few ask for reverse names, and each has a record for itself and one for its network. */
const SOURCES_PER_WALKER = 16
const LEAST_WALKERS = 1024

/**
 * The memory of one path thread. The control thread creates it and hands it to each thread that takes
 * the queue in turn: buckets and counters survive the death of a thread.
 */
export interface SharedState {
  readonly sources: SharedArrayBuffer
  readonly networks: SharedArrayBuffer
  readonly totals: SharedArrayBuffer
  readonly counters: SharedArrayBuffer
  readonly promotions: SharedArrayBuffer
  readonly holds: SharedArrayBuffer
  /** Sources known good: one table for all path threads. */
  readonly known: SharedArrayBuffer
  readonly dns: DnsMemory
  /** Which clients have TCP timestamps. */
  readonly timestamps: SharedArrayBuffer
  /** Reverse lookups of this host's own programs. */
  readonly lookups: SharedArrayBuffer
  /** Who asks most, and which networks' names are asked for most. */
  readonly queriers: SharedArrayBuffer
  /** Unsolicited answers of this minute and the last. */
  readonly answers: SharedArrayBuffer
  /** Sources whose refused queries were answered. */
  readonly slipped: SharedArrayBuffer
  readonly reverseNetworks: SharedArrayBuffer
  /** Two random numbers for the tables, and one for retransmissions and timestamps. */
  readonly seed: Uint32Array
}

/** What the heuristics of DNS remember. */
interface DnsMemory {
  /** A table of those who ask for reverse names, and a record for each of its slots. */
  readonly walkers: SharedArrayBuffer
  readonly walks: SharedArrayBuffer
  readonly rate: SharedArrayBuffer
}

function createDnsMemory(sources: number): DnsMemory {
  const walkers = lineMemory(
    BucketTable.bytes(Math.max(LEAST_WALKERS, Math.ceil(sources / SOURCES_PER_WALKER))),
  )
  return {
    walkers,
    walks: lineMemory(Sweeps.recordBytes(walkers.byteLength)),
    rate: new SharedArrayBuffer(ReverseRate.BYTES),
  }
}

/**
 * Memory for a path thread that tracks `sources` sources: 48 bytes each, and 1 MB.
 *
 * @param known what `KnownGood.create` has made
 * @param seed random, so that nobody can aim at one set of a table; a replay fixes it, to be repeatable.
 */
export function createSharedState(
  sources: number,
  known: SharedArrayBuffer,
  seed: Uint32Array = randomFillSync(new Uint32Array(3)),
): SharedState {
  return {
    sources: lineMemory(BucketTable.bytes(sources)),
    networks: lineMemory(BucketTable.bytes(Math.ceil(sources / SOURCES_PER_NETWORK))),
    totals: new SharedArrayBuffer((LIMIT_SETS + NO_SERVICE) * 8),
    counters: new SharedArrayBuffer(PathCounters.BYTES),
    promotions: new SharedArrayBuffer(SourceRing.BYTES),
    dns: createDnsMemory(sources),
    holds: new SharedArrayBuffer(SourceRing.BYTES),
    known,
    timestamps: new SharedArrayBuffer(Timestamps.BYTES),
    lookups: new SharedArrayBuffer(LookupRing.BYTES),
    queriers: new SharedArrayBuffer(HeavyHitters.BYTES),
    answers: new SharedArrayBuffer(AnswerWindow.BYTES),
    slipped: new SharedArrayBuffer(SourceRing.BYTES),
    reverseNetworks: new SharedArrayBuffer(HeavyHitters.BYTES),
    seed,
  }
}
