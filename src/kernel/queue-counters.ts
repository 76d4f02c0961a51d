import { readFileSync } from 'node:fs'

/** The kernel's own account of one queue. */
export interface QueueCounters {
  readonly queue: number
  /** Packets that wait for a verdict now. */
  readonly waiting: number
  /** Refused since the queue was full (with fail-open, accepted instead and not counted here). */
  readonly kernelDropped: number
  /** Lost since the socket's buffer was full. */
  readonly userDropped: number
  /** Id of the last packet queued: ids count from 1, so this is also how many there were, modulo 2^32. */
  readonly lastId: number
}

const FILE = '/proc/net/netfilter/nfnetlink_queue'

/** All queues bound in this network namespace; none if the kernel has no NFQUEUE. */
export function readQueueCounters(): QueueCounters[] {
  try {
    return parseQueueCounters(readFileSync(FILE, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/**
 * The columns of net/netfilter/nfnetlink_queue.c, seq_show(): queue, port id, waiting, copy mode, copy
 * range, dropped, dropped by the socket, last id, 1.
 */
export function parseQueueCounters(text: string): QueueCounters[] {
  const rows = text.split('\n').filter((line) => line.trim() !== '')
  return rows.map((row) => {
    const [queue = 0, , waiting = 0, , , kernelDropped = 0, userDropped = 0, lastId = 0] = row
      .trim()
      .split(/\s+/)
      .map(Number)
    return { queue, waiting, kernelDropped, userDropped, lastId }
  })
}
