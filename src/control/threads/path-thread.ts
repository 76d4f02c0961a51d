import { Worker } from 'node:worker_threads'
import { EXIT, Failure } from '../../failure.ts'
import { QUEUE_COUNTERS, type QueueOptions } from '../../kernel/queue.ts'
import { BucketReader } from '../../path/bucket-reader.ts'
import type { CompiledPolicy } from '../../path/compile.ts'
import { PathCounters } from '../../path/counters.ts'
import { AnswerWindow } from '../../path/dns/answer-window.ts'
import { DnsReader } from '../../path/dns/reader.ts'
import { HeavyHitters } from '../../path/heavy-hitters.ts'
import { LookupRing, type OwnLookup } from '../../path/lookup-ring.ts'
import { createSharedState, type SharedState } from '../../path/shared.ts'
import { type HandedOver, SourceRing } from '../../path/source-ring.ts'
import type { FromPathThread, PathThreadData, ToPathThread } from '../../path/thread.ts'
import { THREAD_FILE } from '../../path/thread-file.ts'
import { Timestamps } from '../../path/timestamps.ts'
import { describeQueueHolder } from './queue-holder.ts'

const STOP_PATIENCE_MS = 3000

export interface PathThreadOptions {
  readonly queue: QueueOptions
  /** See `PathThreadData`. */
  readonly ownQueries: QueueOptions | undefined
  readonly sources: number
  readonly known: SharedArrayBuffer
  readonly faultAtPacket: number | undefined
  readonly onPromotions: () => void
  readonly onHolds: () => void
  readonly onLookups: () => void
  /** It ended unasked. Called at most once for each `open`. */
  readonly onDeath: (why: string) => void
}

/**
 * One path thread as the control thread sees it: a worker that may die and be opened again, and the shared
 * memory that outlives it.
 */
export class PathThread {
  readonly counters: PathCounters
  readonly queue: number
  readonly buckets: BucketReader
  readonly timestamps: Timestamps
  readonly dns: DnsReader
  readonly #options: PathThreadOptions
  readonly #shared: SharedState
  readonly #promotions: SourceRing
  readonly #holds: SourceRing
  readonly #lookups: LookupRing
  readonly #slipped: SourceRing
  readonly answers: AnswerWindow
  /** Why refused DNS queries cannot be answered, such as EPERM. */
  replyFailure: string | undefined
  readonly queriers: HeavyHitters
  readonly reverseNetworks: HeavyHitters
  /** Written by the thread as of its last batch; counts from 0 in each worker. */
  readonly #queueCounters = new Float64Array(new SharedArrayBuffer(QUEUE_COUNTERS.length * 8))
  /** What earlier workers have counted. */
  readonly #queueCountersBefore = new Float64Array(QUEUE_COUNTERS.length)
  readonly #acknowledgements = new Map<number, () => void>()
  #worker: Worker | undefined
  #lastId = 0
  #isStopping = false

  constructor(options: PathThreadOptions) {
    this.#options = options
    this.queue = options.queue.first
    this.#shared = createSharedState(options.sources, options.known)
    this.counters = new PathCounters(this.#shared.counters)
    this.buckets = new BucketReader(this.#shared)
    this.dns = new DnsReader(this.#shared)
    this.timestamps = new Timestamps(this.#shared.timestamps, this.#shared.seed[2]!)
    this.#promotions = new SourceRing(this.#shared.promotions)
    this.#holds = new SourceRing(this.#shared.holds)
    this.#lookups = new LookupRing(this.#shared.lookups)
    this.#slipped = new SourceRing(this.#shared.slipped)
    this.answers = new AnswerWindow(this.#shared.answers, this.#shared.seed)
    this.queriers = new HeavyHitters(this.#shared.queriers, this.#shared.seed)
    this.reverseNetworks = new HeavyHitters(this.#shared.reverseNetworks, this.#shared.seed)
  }

  get isLive(): boolean {
    return this.#worker !== undefined
  }

  /** Offenders found since the last call. */
  drainPromotions(): HandedOver[] {
    return this.#promotions.drain()
  }

  /** Sources and networks to be held, handed over since the last call. */
  drainHolds(): HandedOver[] {
    return this.#holds.drain()
  }

  /** Reverse lookups of this host's own programs since the last call. */
  drainLookups(): OwnLookup[] {
    return this.#lookups.drain()
  }

  /** Sources whose refused DNS queries were answered since the last call. */
  drainSlipped(): HandedOver[] {
    return this.#slipped.drain()
  }

  /** The addon's counters over all workers so far, in the order of QUEUE_COUNTERS. */
  queueCounters(): number[] {
    return QUEUE_COUNTERS.map((_, i) => this.#queueCountersBefore[i]! + this.#queueCounters[i]!)
  }

  /**
   * Starts a worker, which binds the queue. Resolves when packets may come.
   *
   * @throws Failure (inUse, unavailable, osError) if the queue cannot be opened.
   */
  open(policy: CompiledPolicy): Promise<void> {
    const { queue, ownQueries, faultAtPacket } = this.#options
    const workerData: PathThreadData = {
      queue,
      ownQueries,
      policy,
      shared: this.#shared,
      queueCounters: this.#queueCounters.buffer as SharedArrayBuffer,
      faultAtPacket,
    }
    const worker = new Worker(THREAD_FILE, {
      workerData,
      name: `sluice path ${this.queue}`,
      // The path allocates nothing.
      resourceLimits: { maxYoungGenerationSizeMb: 1 },
    })
    return new Promise((resolve, reject) => {
      let why = 'it ended by itself'
      worker.on('message', (message: FromPathThread) => {
        if (message.type === 'ready') {
          this.replyFailure = message.replyFailure
          this.#worker = worker
          resolve()
        } else if (message.type === 'failed')
          reject(openFailure(message.queue, message.code, message.message))
        else this.#receive(message)
      })
      worker.on('error', (error) => {
        why = error.message
      })
      worker.once('exit', () => {
        reject(new Failure(EXIT.software, `the path thread of queue ${this.queue} has died: ${why}`))
        if (this.#worker === worker) this.#bury(why)
      })
    })
  }

  /** Puts `policy` in force; resolves when the thread has acknowledged it, or is dead. */
  swap(policy: CompiledPolicy): Promise<void> {
    if (this.#worker === undefined) return Promise.resolve()
    const id = ++this.#lastId
    return new Promise((resolve) => {
      this.#acknowledgements.set(id, resolve)
      this.#post({ type: 'policy', policy, id })
    })
  }

  /** Resolves when every queued packet has its verdict and the worker has ended. */
  async stop(): Promise<void> {
    const worker = this.#worker
    this.#isStopping = true
    if (worker === undefined) return
    const ended = new Promise((resolve) => worker.once('exit', resolve))
    this.#post({ type: 'stop' })
    // Ending the worker by force closes its queue too: the addon cleans up with the environment.
    const force = setTimeout(() => void worker.terminate(), STOP_PATIENCE_MS)
    await ended
    clearTimeout(force)
  }

  #receive(message: FromPathThread): void {
    if (message.type === 'promotions') this.#options.onPromotions()
    if (message.type === 'holds') this.#options.onHolds()
    if (message.type === 'lookups') this.#options.onLookups()
    if (message.type === 'policy') {
      this.#acknowledgements.get(message.id)?.()
      this.#acknowledgements.delete(message.id)
    }
  }

  #bury(why: string): void {
    this.#worker = undefined
    for (const [i, count] of this.#queueCounters.entries()) this.#queueCountersBefore[i]! += count
    this.#queueCounters.fill(0)
    for (const acknowledge of this.#acknowledgements.values()) acknowledge()
    this.#acknowledgements.clear()
    if (!this.#isStopping) this.#options.onDeath(why)
  }

  #post(message: ToPathThread): void {
    this.#worker?.postMessage(message)
  }
}

function openFailure(queue: number, code: string, message: string): Failure {
  if (code === 'EBUSY') {
    const holder = describeQueueHolder(queue) ?? 'another process'
    return new Failure(
      EXIT.inUse,
      `queue ${queue} is taken: ${holder} listens on it`,
      'end that process, or set queue.first in the policy to a free number',
    )
  }
  if (code === 'EPROTONOSUPPORT') {
    return new Failure(
      EXIT.unavailable,
      `this kernel has no NFQUEUE: ${message}`,
      'load it with "modprobe nfnetlink_queue"; a kernel of its own make needs CONFIG_NETFILTER_NETLINK_QUEUE',
    )
  }
  return new Failure(EXIT.osError, message)
}
