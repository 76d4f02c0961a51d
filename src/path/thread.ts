import { parentPort, workerData } from 'node:worker_threads'
import {
  BATCH_MAX,
  DROP,
  HOOK_WORD,
  LENGTH_WORD,
  OFFSET_WORD,
  OUT_INTERFACE_WORD,
  PACKET_WORDS,
  PacketQueue,
  type QueueOptions,
  SLIP,
} from '../kernel/queue.ts'
import type { CompiledPolicy } from './compile.ts'
import { decisionIndex } from './counters.ts'
import { Pipeline } from './pipeline.ts'
import { Reason, Verdict } from './reasons.ts'
import { NO_SERVICE } from './service-slots.ts'
import type { SharedState } from './shared.ts'
import { warmUp } from './warm-up.ts'

/** What a path thread is started with. */
export interface PathThreadData {
  readonly queue: QueueOptions
  readonly policy: CompiledPolicy
  readonly shared: SharedState
  /** `QUEUE_COUNTERS` doubles: the addon's own counters as of the last batch, for other threads to read. */
  readonly queueCounters: SharedArrayBuffer
  /** For how long, in ms, the path may be warmed up before packets come; 0: not at all. */
  readonly warmUpMs: number
  /** Throw at this packet: how the tests see what a defect here would do. */
  readonly faultAtPacket: number | undefined
}

export type ToPathThread =
  | { readonly type: 'policy'; readonly policy: CompiledPolicy; readonly id: number }
  | { readonly type: 'stop' }

export type FromPathThread =
  /** Packets may come. `replyFailure`: why refused DNS queries cannot be answered. */
  | { readonly type: 'ready'; readonly replyFailure: string | undefined }
  /** The queue could not be opened. */
  | { readonly type: 'failed'; readonly message: string; readonly code: string }
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

/** Then V8 has compiled what it will. */
const WARM_UP_PACKETS = 20_000

/** NF_INET_LOCAL_OUT. */
const OUTPUT = 3

const port = parentPort!
const {
  queue: options,
  policy,
  shared,
  queueCounters,
  warmUpMs,
  faultAtPacket,
} = workerData as PathThreadData
const pipeline = new Pipeline(policy, shared)
if (warmUpMs > 0) warmUp(policy, warmUpMs, WARM_UP_PACKETS)
const sharedQueueCounters = new Float64Array(queueCounters)
const promotionsWaiting: FromPathThread = { type: 'promotions' }
const holdsWaiting: FromPathThread = { type: 'holds' }
const lookupsWaiting: FromPathThread = { type: 'lookups' }
let packetsLeft = faultAtPacket ?? Number.POSITIVE_INFINITY

function onBatch(queue: PacketQueue, count: number): void {
  const { bytes, packets, verdicts, nowMs, counters } = queue
  const now = nowMs[0]!
  pipeline.holds.beginBatch(count, count === BATCH_MAX, pipeline.policy, now)
  if (pipeline.isLarge) readAhead(queue, count)
  let i = 0
  try {
    for (; i < count; i++) {
      if (--packetsLeft < 0) throw new Error(`fault injected at packet ${faultAtPacket}`)
      const at = i * PACKET_WORDS
      const offset = packets[at + OFFSET_WORD]!
      const length = packets[at + LENGTH_WORD]!
      if (packets[at + HOOK_WORD] === OUTPUT) {
        pipeline.ownQueries.note(bytes, offset, length, packets[at + OUT_INTERFACE_WORD]!, now)
        continue
      }
      const verdict = pipeline.judge(bytes, offset, length, now)
      if (verdict === Verdict.drop) verdicts[i] = pipeline.slip ? SLIP : DROP
    }
  } finally {
    // What was not judged keeps the verdict it came with: accept.
    pipeline.counters.decisions[decisionIndex(NO_SERVICE, Verdict.accept, Reason.fault)]! += count - i
    pipeline.counters.addBatch(nowMs[1]! / 1e6)
    sharedQueueCounters.set(counters)
  }
  if (pipeline.takePromoted() > 0) port.postMessage(promotionsWaiting)
  if (pipeline.holds.takeHandedOver() > 0) port.postMessage(holdsWaiting)
  if (pipeline.ownQueries.takeHandedOver() > 0) port.postMessage(lookupsWaiting)
}

function readAhead({ bytes, packets }: PacketQueue, count: number): void {
  for (let at = 0; at < count * PACKET_WORDS; at += PACKET_WORDS)
    pipeline.expect(bytes, packets[at + OFFSET_WORD]!, packets[at + LENGTH_WORD]!)
  pipeline.fetch()
}

function serve(queue: PacketQueue): void {
  port.on('message', (message: ToPathThread) => {
    if (message.type === 'policy') {
      pipeline.policy = message.policy
      port.postMessage({ type: 'policy', id: message.id } satisfies FromPathThread)
      return
    }
    queue.close()
    port.postMessage({ type: 'stopped' } satisfies FromPathThread)
    port.close()
  })
  port.postMessage({ type: 'ready', replyFailure: queue.replyFailure } satisfies FromPathThread)
}

try {
  const queue: PacketQueue = new PacketQueue(options, (count) => onBatch(queue, count))
  serve(queue)
} catch (error) {
  const { message, code = '' } = error as Error & { code?: string }
  port.postMessage({ type: 'failed', message, code } satisfies FromPathThread)
}
