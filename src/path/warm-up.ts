import { getHeapStatistics } from 'node:v8'
import type { CompiledPolicy } from './compile.ts'
import { KnownGood } from './known-good.ts'
import { Pipeline } from './pipeline.ts'
import { type DescriptorWords, readBatchAhead } from './read-batch-ahead.ts'
import { createSharedState } from './shared.ts'
import { samplePackets, xorshift } from './warm-up-packets.ts'

const DESCRIPTOR: DescriptorWords = { stride: 2, offset: 0, length: 1 }

/** As many as the queue gives at once. */
const BATCH = 64

/** So small a table that buckets must give way to others. */
const SOURCES = 1024

/**
 * Virtual time: 16,000 packets a second, which is a flood; when it is known to be one some pauses of a step of
 * `BucketTable.attend`, so that sources have been here; and then one that ends a flood and fills buckets. Never whole milliseconds, as
 * little as the kernel's clock has them: V8 would compile for integers.
 */
const BATCH_MS = 4.03
const STEP_MS = 16_000.3
const PAUSE_MS = 3_600_000.3
const FIRST_STEP = 63
const BATCHES_TO_STEP = 21
const BATCHES_TO_PAUSE = 125

/**
 * At the end the compiler is waited for, one second at most. It works in threads of its own, and what they have done is
 * taken over by this thread only, while it runs: until then it is memory, some 10 MB that an idle daemon would keep for ever.
 */
const MOST_PAUSES = 50
const PAUSE_FOR_COMPILER_MS = 20

/** Measured: 0.5 MB when there is nothing to compile, 5 to 9 MB while there is. */
const COMPILER_IDLE_BYTES = 2 ** 20
const NOTHING = new Int32Array(new SharedArrayBuffer(4))

/** The clock is asked once in so many batches. */
const BATCHES_TO_LOOK = 8

/**
 * Lets V8 compile the packet path before the first packet comes. Until it has, a decision takes many times as long,
 * and in a flood that is there at the start the queue would fill and packets pass it unseen.
 *
 * Paths of its own judge made-up packets for the services of `policy`, with memory that is thrown away: nothing of
 * the real one changes. What V8 learns belongs to the functions, which all share. The real one must exist by then, and
 * `policy` be its policy: code that is compiled for all objects that there are is thrown away when one more is made.
 *
 * @param mostMs for so long at most, and a second for the compiler to end; the compiler works in other threads meanwhile, so this is elapsed time
 * @param mostPackets stop earlier when so many are judged
 * @param pipelines two paths of its own, of `policy`
 * @returns packets judged
 */
export function warmUp(
  policy: CompiledPolicy,
  mostMs: number,
  mostPackets: number,
  // What a path does once only, the second one does again when V8 looks.
  pipelines: readonly Pipeline[] = [create(policy), create(policy)],
): number {
  const endMs = performance.now() + mostMs
  const packets = samplePackets(policy)
  const lengths = Uint32Array.from(packets, ({ length }) => length)
  const descriptors = new Uint32Array(BATCH * DESCRIPTOR.stride)
  const slabs = [new Uint8Array(Buffer.concat(packets)), new Uint8Array(Buffer.concat(packets))]
  const random = xorshift()
  let nowMs = PAUSE_MS
  let judged = 0
  let offset = 0
  let batch = 0
  function judgeBatch(): void {
    nowMs += pauseBefore(batch % BATCHES_TO_PAUSE)
    const pipeline = pipelines[Math.floor(batch / BATCHES_TO_PAUSE) % pipelines.length]!
    pipeline.holds.beginBatch(BATCH, true, policy, nowMs)
    // The path keeps what it has of the last one's memory: the first packet has another.
    const bytes = slabs[batch & 1]!
    for (let i = 0; i < BATCH; i++) {
      const n = judged++ % lengths.length
      if (n === 0) offset = 0
      moveSource(bytes, offset, random())
      descriptors[2 * i] = offset
      descriptors[2 * i + 1] = lengths[n]!
      offset += lengths[n]!
    }
    readBatchAhead(pipeline, bytes, descriptors, BATCH, DESCRIPTOR)
    for (let i = 0; i < BATCH; i++) pipeline.judge(bytes, descriptors[2 * i]!, descriptors[2 * i + 1]!, nowMs)
    pipeline.takePromoted()
    pipeline.holds.takeHandedOver()
    batch++
  }
  while (judged < mostPackets && (batch % BATCHES_TO_LOOK !== 0 || performance.now() < endMs)) judgeBatch()
  for (let pauses = 0; pauses < MOST_PAUSES && compilerBytes() > COMPILER_IDLE_BYTES; pauses++) {
    Atomics.wait(NOTHING, 0, 0, PAUSE_FOR_COMPILER_MS)
    judgeBatch()
  }
  return judged
}

function pauseBefore(batch: number): number {
  if (batch === 0) return PAUSE_MS
  return batch >= FIRST_STEP && batch % BATCHES_TO_STEP === 0 ? STEP_MS : BATCH_MS
}

/** What V8 has allocated beside the heap, nearly all of it the compiler's. */
function compilerBytes(): number {
  return getHeapStatistics().malloced_memory
}

function create(policy: CompiledPolicy): Pipeline {
  return new Pipeline(policy, createSharedState(SOURCES, KnownGood.create()))
}

/**
 * Another source, IPv4 or IPv6: the last three octets, or the bits 40 to 64 of the address. Half are from a few, which
 * meet their limits, ask again and walk; a quarter from one network, which meets its own; the others from anywhere.
 */
function moveSource(bytes: Uint8Array, offset: number, random: number): void {
  // By chance: each of them is to send packets of all kinds.
  const quarter = random >>> 30
  const isOfNetwork = quarter === 3
  const where = quarter < 2 ? random & 1 : random
  bytes[offset + 13] = isOfNetwork ? 1 : where & 255
  bytes[offset + 14] = isOfNetwork ? 1 : (where >> 8) & 255
  bytes[offset + 15] = isOfNetwork ? random & 255 : 1
}
