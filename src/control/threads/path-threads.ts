import { ownQueriesQueue, type Policy } from '../../config/policy.ts'
import { EXIT, Failure } from '../../failure.ts'
import { REPLY_MARK } from '../../firewall/names.ts'
import { shardConstant, shardOf } from '../../firewall/shard.ts'
import type { Family, Prefix } from '../../net/prefix.ts'
import type { BucketReading, SourceReading } from '../../path/bucket-reader.ts'
import type { CompiledPolicy } from '../../path/compile.ts'
import { HERE_MS } from '../../path/dns/dns.ts'
import type { Walks } from '../../path/dns/reader.ts'
import type { ReverseRateState } from '../../path/dns/reverse-rate.ts'
import { KnownGood } from '../../path/known-good.ts'
import type { OwnLookup } from '../../path/lookup-ring.ts'
import type { HandedOver } from '../../path/source-ring.ts'
import type { Log } from '../log/log.ts'
import { PathThread } from './path-thread.ts'

import { RestartLimit } from './restart-limit.ts'

/** A thread that dies more often than this is left dead, and takes the daemon with it. */
const RESTARTS_MAX = 5
const RESTARTS_WINDOW_MS = 60_000

export interface PathThreadsOptions {
  readonly policy: Policy
  readonly compiled: CompiledPolicy
  readonly faultAtPacket: number | undefined
  readonly log: Log
  readonly onPromotions: () => void
  readonly onHolds: () => void
  readonly onLookups: () => void
  /** A thread could not be kept alive: without it its queue's packets pass unlimited. */
  readonly onGivenUp: (failure: Failure) => void
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** All path threads: `policy.threads` of them, the n-th on queue `policy.queue.first + n`. */
export class PathThreads {
  readonly all: readonly PathThread[]
  /** Read by all of them. */
  readonly known: KnownGood
  restarts = 0
  readonly #options: PathThreadsOptions
  readonly #limit: RestartLimit
  #compiled: CompiledPolicy
  readonly #shardConstant = shardConstant()
  #isStopping = false

  private constructor(options: PathThreadsOptions) {
    const { policy, compiled, now } = options
    this.#options = options
    this.#compiled = compiled
    this.#limit = new RestartLimit(RESTARTS_MAX, RESTARTS_WINDOW_MS, now)
    const known = KnownGood.create()
    this.known = new KnownGood(known)
    const sources = Math.ceil(policy.sources / policy.threads)
    this.all = Array.from({ length: policy.threads }, (_, n) => this.#create(n, sources, known))
  }

  #create(n: number, sources: number, known: SharedArrayBuffer): PathThread {
    const { policy } = this.#options
    const queue = { ...policy.queue, first: policy.queue.first + n, count: 1, replyMark: REPLY_MARK }
    // What this host itself asks of DNS does not come in floods: one thread has time for it.
    const readsOwnQueries = n === 0 && policy.dns.induced !== undefined
    const thread: PathThread = new PathThread({
      ...this.#options,
      queue,
      ownQueries: readsOwnQueries
        ? { ...queue, first: ownQueriesQueue(policy), replyMark: undefined }
        : undefined,
      sources,
      known,
      onDeath: (why) => void this.#restart(thread, why),
    })
    return thread
  }

  /** Resolves when every queue is bound. @throws Failure (inUse, unavailable, osError); then none is. */
  static async start(options: PathThreadsOptions): Promise<PathThreads> {
    const threads = new PathThreads(options)
    try {
      // All at the same time: each warms up. When one fails, the others are awaited, or they could not be stopped.
      const opened = await Promise.allSettled(threads.all.map((thread) => thread.open(options.compiled)))
      for (const each of opened) if (each.status === 'rejected') throw each.reason
    } catch (error) {
      await threads.stop()
      throw error
    }
    return threads
  }

  get live(): number {
    return this.all.filter((thread) => thread.isLive).length
  }

  drainPromotions(): HandedOver[] {
    return this.all.flatMap((thread) => thread.drainPromotions())
  }

  drainHolds(): HandedOver[] {
    return this.all.flatMap((thread) => thread.drainHolds())
  }

  drainSlipped(): HandedOver[] {
    return this.all.flatMap((thread) => thread.drainSlipped())
  }

  /** Why refused DNS queries cannot be answered, such as EPERM. */
  get replyFailure(): string | undefined {
    return this.all.find((thread) => thread.replyFailure !== undefined)?.replyFailure
  }

  drainLookups(): OwnLookup[] {
    return this.all.flatMap((thread) => thread.drainLookups())
  }

  /** See `BucketReader.fullAtMs`. */
  fullAtMs(source: Prefix, service: number): number | undefined {
    return this.#threadOf(source).buckets.fullAtMs(source, service)
  }

  /** See `Timestamps.of`. */
  hasTimestamps(source: Prefix, port: number): boolean | undefined {
    return this.#threadOf(source).timestamps.of(source, port)
  }

  /** The buckets of `source` on the thread that its network comes to. @param nowMs the path's clock. */
  bucketsOf(source: Prefix, service: number, nowMs: number): SourceReading {
    return this.#threadOf(source).buckets.read(source, service, this.#compiled, nowMs)
  }

  /** See `BucketReader.readDns`. @param nowMs the path's clock. */
  dnsBucketsOf(source: Prefix, set: number, nowMs: number): BucketReading[] {
    return this.#threadOf(source).buckets.readDns(source, set, this.#compiled, nowMs)
  }

  /** What the reverse queries of `source`, and of its network, look like. @param nowMs the path's clock. */
  walksOf(source: Prefix, nowMs: number): Walks {
    return this.#threadOf(source).dns.walks(source, this.#compiled, nowMs)
  }

  /** The reverse queries that each thread sees. @param nowMs the path's clock. */
  reverseRates(nowMs: number): ReverseRateState[] {
    return this.all.map((thread) => thread.dns.rate(this.#compiled, nowMs))
  }

  /** Who was asking the service in `slot` for some time before the flood of reverse queries that each thread sees. */
  *residents(slot: number, family: Family): Iterable<Prefix> {
    for (const { buckets, dns } of this.all)
      yield* buckets.residents(slot, family, dns.rate(this.#compiled, this.#options.now()).sinceMs, HERE_MS)
  }

  /** Gives `source` full buckets and takes its strikes away, for the services in `slots`. */
  clear(source: Prefix, slots: readonly number[]): void {
    for (const slot of slots) this.#threadOf(source).buckets.clear(source, slot)
  }

  /** Puts `compiled` in force on all threads, and on those that are started later. */
  async swap(compiled: CompiledPolicy): Promise<void> {
    this.#compiled = compiled
    await Promise.all(this.all.map((thread) => thread.swap(compiled)))
  }

  /** Resolves when every queued packet has its verdict and no queue is bound any more. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all(this.all.map((thread) => thread.stop()))
  }

  #threadOf(source: Prefix): PathThread {
    return this.all[shardOf(source, this.#shardConstant, this.all.length)]!
  }

  async #restart(thread: PathThread, why: string): Promise<void> {
    const { log, onGivenUp } = this.#options
    if (this.#isStopping) return
    const what = `the path thread of queue ${thread.queue}`
    if (!this.#limit.take()) {
      const often = `more than ${RESTARTS_MAX} times within ${RESTARTS_WINDOW_MS / 1000} s`
      onGivenUp(new Failure(EXIT.software, `${what} has died ${often}, the last time with: ${why}`))
      return
    }
    this.restarts++
    log.error('path-restart', `${what} has died and is started again: ${why}`)
    try {
      await thread.open(this.#compiled)
      // A reload, or the end, may have come while it was starting.
      if (this.#isStopping) await thread.stop()
      else await thread.swap(this.#compiled)
    } catch (error) {
      await this.#restart(thread, (error as Error).message)
    }
  }
}
