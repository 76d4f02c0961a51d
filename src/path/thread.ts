import { parentPort, workerData } from 'node:worker_threads'
import { goFirst } from '../kernel/go-first.ts'
import {
  BATCH_MAX,
  DROP,
  LENGTH_WORD,
  OFFSET_WORD,
  OUT_INTERFACE_WORD,
  PACKET_WORDS,
  PacketQueue,
  QUEUE_COUNTERS,
  type QueueOptions,
  SLIP,
} from '../kernel/queue.ts'
import type { CompiledPolicy } from './compile.ts'
import { decisionIndex } from './counters.ts'
import { Pipeline } from './pipeline.ts'
import { type DescriptorWords, readBatchAhead } from './read-batch-ahead.ts'
import { Reason, Verdict } from './reasons.ts'
import { NO_SERVICE } from './service-slots.ts'
import type { SharedState } from './shared.ts'
import { warmUp } from './warm-up.ts'

/** What a path thread is started with. */
export interface PathThreadData {
  readonly queue: QueueOptions
  /** The queue of what this host itself asks of DNS, where this thread is to read it. */
  readonly ownQueries: QueueOptions | undefined
  readonly policy: CompiledPolicy
  readonly shared: SharedState
  /** `QUEUE_COUNTERS` doubles: the addon's own counters, at most a second old, for other threads to read. Batches and packets are those of `queue` alone. */
  readonly queueCounters: SharedArrayBuffer
  /** Throw at this packet: how the tests see what a defect here would do. */
  readonly faultAtPacket: number | undefined
}

export type ToPathThread =
  | { readonly type: 'policy'; readonly policy: CompiledPolicy; readonly id: number }
  | { readonly type: 'stop' }

export type FromPathThread =
  /** Packets may come. `replyFailure`: why refused DNS queries cannot be answered. */
  | { readonly type: 'ready'; readonly replyFailure: string | undefined }
  /** This queue could not be opened. */
  | { readonly type: 'failed'; readonly queue: number; readonly message: string; readonly code: string }
  /** The policy posted with `id` is in force. */
  | { readonly type: 'policy'; readonly id: number }
  /** Offenders wait in the ring of promotions. */
  | { readonly type: 'promotions' }
  /** Sources and networks wait in the ring of holds. */
  | { readonly type: 'holds' }
  /** Reverse lookups of this host's own programs wait in their ring. */
  | { readonly type: 'lookups' }
  /** Every packet has its verdict and the queue is closed. */
  | { readonly type: 'stopped' }

/** Then V8 has compiled what it will, or the start has waited for long enough. */
const WARM_UP_PACKETS = 20_000
const WARM_UP_MS = 500

/** How old the shared counters of the queues may be while no packets come. */
const SHARE_MS = 1000

/** In `QUEUE_COUNTERS`, behind batches and packets: from here on they say what goes wrong. */
const FIRST_FAULT = QUEUE_COUNTERS.indexOf('packets') + 1

const DESCRIPTOR: DescriptorWords = { stride: PACKET_WORDS, offset: OFFSET_WORD, length: LENGTH_WORD }

const port = parentPort!
const {
  queue: queueOptions,
  ownQueries: ownOptions,
  policy,
  shared,
  queueCounters,
  faultAtPacket,
} = workerData as PathThreadData
const pipeline = new Pipeline(policy, shared)
warmUp(policy, WARM_UP_MS, WARM_UP_PACKETS)
const sharedQueueCounters = new Float64Array(queueCounters)
const promotionsWaiting: FromPathThread = { type: 'promotions' }
const holdsWaiting: FromPathThread = { type: 'holds' }
const lookupsWaiting: FromPathThread = { type: 'lookups' }
const queues: PacketQueue[] = []
let packetsLeft = faultAtPacket ?? Number.POSITIVE_INFINITY

function onBatch(queue: PacketQueue, count: number): void {
  const { bytes, packets, verdicts, nowMs } = queue
  const now = nowMs[0]!
  pipeline.holds.beginBatch(count, count === BATCH_MAX, pipeline.policy, now)
  readBatchAhead(pipeline, bytes, packets, pipeline.readsAhead ? count : 0, DESCRIPTOR)
  let i = 0
  try {
    for (; i < count; i++) {
      if (--packetsLeft < 0) throw new Error(`fault injected at packet ${faultAtPacket}`)
      const at = i * PACKET_WORDS
      const offset = packets[at + OFFSET_WORD]!
      const length = packets[at + LENGTH_WORD]!
      const verdict = pipeline.judge(bytes, offset, length, now)
      if (verdict === Verdict.drop) verdicts[i] = pipeline.slip ? SLIP : DROP
    }
  } finally {
    // What was not judged keeps the verdict it came with: accept.
    pipeline.counters.decisions[decisionIndex(NO_SERVICE, Verdict.accept, Reason.fault)]! += count - i
    pipeline.counters.addBatch(nowMs[1]! / 1e6)
    shareCounters()
  }
  if (pipeline.takePromoted() > 0) port.postMessage(promotionsWaiting)
  if (pipeline.holds.takeHandedOver() > 0) port.postMessage(holdsWaiting)
}

/** All of these pass. The queue is not the path's: in a flood nobody here waits behind it for an answer. */
function onOwnBatch({ bytes, packets, nowMs }: PacketQueue, count: number): void {
  for (let at = 0; at < count * PACKET_WORDS; at += PACKET_WORDS) {
    const outInterface = packets[at + OUT_INTERFACE_WORD]!
    pipeline.ownQueries.note(
      bytes,
      packets[at + OFFSET_WORD]!,
      packets[at + LENGTH_WORD]!,
      outInterface,
      nowMs[0]!,
    )
  }
  if (pipeline.ownQueries.takeHandedOver() > 0) port.postMessage(lookupsWaiting)
}

function shareCounters(): void {
  const judged = queues[0]!.counters
  const own = queues[1]?.counters
  for (let i = 0; i < judged.length; i++) {
    sharedQueueCounters[i] = judged[i]! + (own !== undefined && i >= FIRST_FAULT ? own[i]! : 0)
  }
}

function openQueue(options: QueueOptions, judge: (queue: PacketQueue, count: number) => void): void {
  const queue: PacketQueue = new PacketQueue(options, (count) => judge(queue, count))
  queues.push(queue)
}

function serve(): void {
  // A message without a packet makes no batch, and what becomes of a batch's verdicts is counted behind it.
  setInterval(shareCounters, SHARE_MS).unref()
  port.on('message', (message: ToPathThread) => {
    if (message.type === 'policy') {
      pipeline.policy = message.policy
      port.postMessage({ type: 'policy', id: message.id } satisfies FromPathThread)
      return
    }
    for (const queue of queues) queue.close()
    port.postMessage({ type: 'stopped' } satisfies FromPathThread)
    port.close()
  })
  port.postMessage({ type: 'ready', replyFailure: queues[0]!.replyFailure } satisfies FromPathThread)
}

try {
  goFirst()
  openQueue(queueOptions, onBatch)
  if (ownOptions !== undefined) openQueue(ownOptions, onOwnBatch)
  serve()
} catch (error) {
  for (const queue of queues) queue.close()
  const { message, code = '' } = error as Error & { code?: string }
  const { first } = queues.length === 0 ? queueOptions : ownOptions!
  port.postMessage({ type: 'failed', queue: first, message, code } satisfies FromPathThread)
}
