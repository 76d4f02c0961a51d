// Drains a queue with the built path, as `loop ... paced` does in C. Arguments: QUEUE POLICY-FILE [REPLY-MARK]
// For each number on standard input answers so many packets and prints the nanoseconds, those of CPU in user
// mode, and how many packets were dropped.
import { readSync } from 'node:fs'
import { loadPolicy } from '../../../dist/config/load.js'
import {
  DROP,
  LENGTH_WORD,
  OFFSET_WORD,
  PACKET_WORDS,
  PacketQueue,
  SLIP,
} from '../../../dist/kernel/queue.js'
import { compilePolicy } from '../../../dist/path/compile.js'
import { KnownGood } from '../../../dist/path/known-good.js'
import { Pipeline } from '../../../dist/path/pipeline.js'
import { readBatchAhead } from '../../../dist/path/read-batch-ahead.js'
import { Verdict } from '../../../dist/path/reasons.js'
import { ServiceSlots } from '../../../dist/path/service-slots.js'
import { createSharedState } from '../../../dist/path/shared.js'

const DESCRIPTOR = { stride: PACKET_WORDS, offset: OFFSET_WORD, length: LENGTH_WORD }

const [number, file, replyMark] = process.argv.slice(2)
const policy = loadPolicy(file)
const shared = createSharedState(policy.sources, KnownGood.create())
// One for all drains, as a path thread has one: V8 compiles its addresses into the code.
const pipeline = new Pipeline(compilePolicy(policy, new ServiceSlots()), shared)
let left
let dropped
let started
let cpu

const queue = new PacketQueue(
  { ...policy.queue, first: Number(number), count: 1, replyMark: replyMark && Number(replyMark) },
  (count) => {
    const { bytes, packets, verdicts, nowMs } = queue
    const now = nowMs[0]
    readBatchAhead(pipeline, bytes, packets, pipeline.readsAhead ? count : 0, DESCRIPTOR)
    for (let i = 0; i < count; i++) {
      const at = i * PACKET_WORDS
      if (pipeline.judge(bytes, packets[at + OFFSET_WORD], packets[at + LENGTH_WORD], now) === Verdict.drop) {
        verdicts[i] = pipeline.slip && replyMark ? SLIP : DROP
        dropped++
      }
    }
    left -= count
    // After this batch's verdicts have left.
    if (left <= 0) setImmediate(report)
  },
)

function report() {
  const nanoseconds = process.hrtime.bigint() - started
  console.log(`${nanoseconds} ${process.cpuUsage(cpu).user * 1000} ${dropped}`)
  waitForNumber()
}

/** Blocks the thread: until then packets wait in the queue. */
function waitForNumber() {
  const line = Buffer.alloc(32)
  const bytes = readSync(0, line)
  if (bytes === 0) return queue.close()
  // Every drain meets the same buckets, all of them full.
  for (const memory of [shared.sources, shared.networks, shared.totals, shared.counters])
    new Uint8Array(memory).fill(0)
  left = Number(line.toString('utf8', 0, bytes))
  dropped = 0
  cpu = process.cpuUsage()
  started = process.hrtime.bigint()
}

process.stdout.write('ready\n')
waitForNumber()
