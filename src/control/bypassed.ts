import { QUEUE_COUNTERS } from '../kernel/queue.ts'
import { readQueueCounters } from '../kernel/queue-counters.ts'
import type { DaemonState } from './state.ts'

const PACKETS = QUEUE_COUNTERS.indexOf('packets')

/**
 * Brings `health.bypassed` up to date: the kernel does not count packets that pass a queue unseen, so they
 * are what the rules matched, less what came, waits or was lost.
 *
 * @param matched packets that the rules sent to each queue.
 */
export function countBypassed(
  { threads, health }: Pick<DaemonState, 'threads' | 'health'>,
  matched: ReadonlyMap<number, number>,
): void {
  // Read before the threads' counters: a packet on its way between the two is then not counted.
  const kernel = readQueueCounters()
  for (const thread of threads.all) {
    const {
      waiting = 0,
      kernelDropped = 0,
      userDropped = 0,
    } = kernel.find(({ queue }) => queue === thread.queue) ?? {}
    const seen = thread.queueCounters()[PACKETS]! + waiting + kernelDropped + userDropped
    const bypassed = (matched.get(thread.queue) ?? 0) - seen
    health.bypassed.set(thread.queue, Math.max(bypassed, health.bypassed.get(thread.queue) ?? 0))
  }
}
