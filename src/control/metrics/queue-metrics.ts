import type { MetricFamily } from './metric-family.ts'
import { BATCHES, byQueue, fromKernel, netlinkEvents, PACKETS, sample } from './metric-samples.ts'

/** The queues between the kernel and the path. */
export const QUEUE_METRICS: readonly MetricFamily[] = [
  {
    name: 'sluice_batches_total',
    help: 'Batches of packets that came out of a queue.',
    type: 'counter',
    labels: ['queue'],
    read: (state) => byQueue(state, (counters) => counters[BATCHES]!),
  },
  {
    name: 'sluice_queue_received_packets_total',
    help: 'Packets that came out of a queue.',
    type: 'counter',
    labels: ['queue'],
    read: (state) => byQueue(state, (counters) => counters[PACKETS]!),
  },
  {
    name: 'sluice_queue_waiting_packets',
    help: 'Packets that wait for a verdict.',
    type: 'gauge',
    labels: ['queue'],
    read: (state) => fromKernel(state, 'waiting'),
  },
  {
    name: 'sluice_queue_kernel_dropped_packets_total',
    help: 'Packets that the kernel dropped at a full queue; none with failOpen.',
    type: 'counter',
    labels: ['queue'],
    read: (state) => fromKernel(state, 'kernelDropped'),
  },
  {
    name: 'sluice_queue_user_dropped_packets_total',
    help: 'Packets that the kernel dropped at a full socket buffer.',
    type: 'counter',
    labels: ['queue'],
    read: (state) => fromKernel(state, 'userDropped'),
  },
  {
    name: 'sluice_queue_bypassed_packets_total',
    help: 'Packets that passed a queue unseen: nobody listened, or it was full with failOpen.',
    type: 'counter',
    labels: ['queue'],
    read: ({ threads, health }) =>
      threads.all.map(({ queue }) => sample({ queue: `${queue}` }, health.bypassed.get(queue) ?? 0)),
  },
  {
    name: 'sluice_netlink_events_total',
    help: 'What went wrong between the kernel and the addon, by kind.',
    type: 'counter',
    labels: ['event'],
    read: netlinkEvents,
  },
]
