import { markAsUntransferable } from 'node:worker_threads'
import { addon, type NativeQueue } from './addon.ts'
import { checkInteger } from './check-integer.ts'
import { errnoName, NetlinkError } from './netlink-error.ts'

export interface QueueOptions {
  /** Number of the first queue, 0 to 65535. */
  readonly first: number
  /** How many queues, 1 to 64, are bound to the one socket. */
  readonly count: number
  /** Packets that may wait for a verdict, per queue: 1 to 65535, where the kernel caps it. */
  readonly length: number
  /** Bytes copied of each packet, from its IP header on: 1 to 65531. */
  readonly copyBytes: number
  /** Whether packets that meet a full queue are accepted (dropped otherwise). */
  readonly failOpen: boolean
  /** The firewall mark of the answers to SLIP. `undefined`: there are none. */
  readonly replyMark: number | undefined
  /** Receive buffer; the kernel charges it about 1 kB for a small packet. */
  readonly socketBufferBytes: number
}

/** Most packets in a batch. */
export const BATCH_MAX = 64

/** Words of a packet descriptor in `PacketQueue.packets`; word w of packet i is at `i * PACKET_WORDS + w`. */
export const PACKET_WORDS = 11
/** Unique in its queue, counting up. */
export const ID_WORD = 0
/** Where the packet's copied bytes start in `PacketQueue.bytes`. */
export const OFFSET_WORD = 1
/** Bytes copied; 0 if the kernel's message was damaged. */
export const LENGTH_WORD = 2
/** The packet's length before it was cut to `copyBytes`. */
export const FULL_LENGTH_WORD = 3
export const QUEUE_WORD = 4
/** Netfilter hook: 0 PREROUTING, 1 INPUT, 2 FORWARD, 3 OUTPUT, 4 POSTROUTING. */
export const HOOK_WORD = 5
/** AF_INET 2 or AF_INET6 10. */
export const FAMILY_WORD = 6
/** Index of the interface it came in by, 0 for the host's own. */
export const IN_INTERFACE_WORD = 7
/** The firewall mark, 0 for none. */
export const MARK_WORD = 8
/** Arrival in Unix milliseconds, the low 32 bits; 0 where the kernel took no time. @public */
export const TIMESTAMP_WORD = 9

/** Index of the interface it leaves by, 0 for what comes in. */
export const OUT_INTERFACE_WORD = 10

/** NF_DROP, as a verdict byte; what is neither DROP nor SLIP is accepted. */
export const DROP = 0
/** DROP, and the DNS query in this packet is answered: truncated, ask again over TCP. */
export const SLIP = 2

/** `PacketQueue.counters` in order: each event of the receiving and sending of messages since the start. */
export const QUEUE_COUNTERS = [
  'batches',
  'packets',
  /** ENOBUFS at reception: the kernel had no room for a message. */
  'enobufs',
  /** EINTR at reception. */
  'interrupted',
  /** Any other errno at reception. */
  'receiveErrors',
  /** Messages cut short; their packet is delivered with length 0 if its id is readable. */
  'truncated',
  /** Messages that make no sense. */
  'malformed',
  /** Verdicts that the kernel refused, such as ENOENT for a packet it no longer has. */
  'verdictErrors',
  /** Attempts to send verdicts that failed and were repeated. */
  'verdictRetries',
  /** Batches whose verdicts could not be sent at all: these packets are accepted with the next batch. */
  'verdictsLost',
  /** Exceptions thrown by onBatch. */
  'callbackErrors',
  /** Answers to queries with verdict SLIP that were sent. */
  'replies',
  /** Queries with verdict SLIP that no answer could be made for: they are no whole query to be seen. */
  'repliesUnmade',
  /** Answers that the OUTPUT chains of this host's firewall have dropped. */
  'repliesForbidden',
  /** Answers that could not be sent for another reason. */
  'replyErrors',
] as const

/**
 * A range of NFQUEUE queues on one netlink socket, polled on this thread's event loop, which it keeps
 * alive. Packets come in batches of up to BATCH_MAX through one slab of memory (native/slab.h) that is
 * overwritten by the next batch: nothing in it may be kept after `onBatch` returns.
 *
 * `onBatch(count)` finds `verdicts[0]` to `verdicts[count - 1]` set to accept and writes DROP where
 * wanted. If it throws, the verdicts written so far hold, the other packets are accepted, and then the
 * exception is uncaught in this thread. If the thread ends, queued packets are accepted.
 *
 * @throws NetlinkError with code EPERM (CAP_NET_ADMIN is missing), EPROTONOSUPPORT (the kernel has no
 * NFQUEUE) or EBUSY (another process holds the queue number); nothing stays bound then.
 */
export class PacketQueue {
  /** The whole slab. */
  readonly bytes: Uint8Array
  /** [0] CLOCK_MONOTONIC in ms when this batch was received; [1] µs the batch before took until its verdicts were sent. */
  readonly nowMs: Float64Array
  readonly packets: Uint32Array
  readonly verdicts: Uint8Array
  readonly counters: Float64Array
  /** Why answers to SLIP cannot be sent, such as EPERM without CAP_NET_RAW; SLIP only drops then. */
  readonly replyFailure: string | undefined
  readonly #native: NativeQueue

  constructor(options: QueueOptions, onBatch: (count: number) => void) {
    checkOptions(options)
    const { PacketQueue: Native, slabLayout } = addon()
    this.#native = new Native(options.copyBytes)
    const { slab } = this.#native
    // Transferring the slab to another thread would free it under the addon's hands.
    markAsUntransferable(slab)
    this.bytes = new Uint8Array(slab)
    this.nowMs = new Float64Array(slab, slabLayout.now, 2)
    this.counters = new Float64Array(slab, slabLayout.counters, QUEUE_COUNTERS.length)
    this.packets = new Uint32Array(slab, slabLayout.packets, BATCH_MAX * PACKET_WORDS)
    this.verdicts = new Uint8Array(slab, slabLayout.verdicts, BATCH_MAX)
    try {
      this.replyFailure = this.#open(options, onBatch)
    } catch (error) {
      this.#native.close()
      throw error
    }
  }

  /**
   * Accepts every packet still queued, then unbinds; meanwhile the kernel lets new ones pass. Called
   * from `onBatch` it takes effect after that batch's verdicts. A second call does nothing.
   */
  close(): void {
    this.#native.close()
  }

  #open(options: QueueOptions, onBatch: (count: number) => void): string | undefined {
    refuse('open an NFQUEUE socket', this.#native.open(options.socketBufferBytes), OPEN_ERRORS)
    for (let queue = options.first; queue < options.first + options.count; queue++) {
      refuse(`bind queue ${queue}`, this.#native.bind(queue, options.length, options.failOpen), BIND_ERRORS)
    }
    // Without answers the queue is of as much use as ever.
    const errno = options.replyMark === undefined ? 0 : this.#native.openReplies(options.replyMark)
    refuse('poll the NFQUEUE socket', this.#native.start(onBatch), {})
    return errno === 0 ? undefined : errnoName(errno)
  }
}

type Meanings = Readonly<Record<string, readonly [code: string, meaning: string]>>

/** nfnetlink_rcv_msg() answers EINVAL for a subsystem that the kernel does not have. */
const OPEN_ERRORS: Meanings = {
  EINVAL: ['EPROTONOSUPPORT', 'the kernel has no NFQUEUE'],
  EPROTONOSUPPORT: ['EPROTONOSUPPORT', 'the kernel has no nfnetlink'],
}

/** nfqnl_recv_config() answers EPERM for a queue of another socket, EBUSY for one of our own. */
const BIND_ERRORS: Meanings = {
  EPERM: ['EBUSY', 'another process holds it'],
  EBUSY: ['EBUSY', 'it is bound already'],
}

function refuse(operation: string, errno: number, meanings: Meanings): void {
  if (errno === 0) return
  const name = errnoName(errno)
  const [code, meaning] = meanings[name] ?? [name]
  throw new NetlinkError(operation, code, meaning)
}

function checkOptions(options: QueueOptions): void {
  checkInteger('first', options.first, 0, 65_535)
  checkInteger('count', options.count, 1, Math.min(64, 65_536 - options.first))
  checkInteger('length', options.length, 1, 65_535)
  checkInteger('copyBytes', options.copyBytes, 1, 65_531)
  checkInteger('socketBufferBytes', options.socketBufferBytes, 4096, 2 ** 30)
  if (typeof options.failOpen !== 'boolean') {
    throw new TypeError(`failOpen must be true or false: it is ${options.failOpen}`)
  }
}
