import { addon, type NativeFlowEvents } from './addon.ts'
import { flowFilter } from './flow-filter.ts'
import { FLOW_BYTES, Flows } from './flows.ts'
import { errnoName, NetlinkError } from './netlink-error.ts'
import type { PortSet } from './port-set.ts'

/** `FlowEvents.counters` in order, since the start. */
export const FLOW_EVENT_COUNTERS = [
  'messages',
  /** ENOBUFS: the kernel had no room for one or more events, and dropped them. */
  'overruns',
  /** EINTR at reception. */
  'interrupted',
  /** Any other errno at reception. */
  'receiveErrors',
  /** Messages cut short. */
  'truncated',
  /** Messages that make no sense, or are not about an assured TCP flow. */
  'malformed',
  /** Datagrams that did not come from the kernel. */
  'foreign',
  /** Exceptions thrown by onFlows. */
  'callbackErrors',
] as const

const COUNTERS_BYTES = FLOW_EVENT_COUNTERS.length * 8
/** kFlowBatchMax of native/flow-datagram.h. */
const BATCH_MAX = 64

/** About 2,000 events (the kernel charges one 2 kB): what comes while the thread is busy for a moment. */
const SOCKET_BUFFER_BYTES = 4 << 20

/**
 * Conntrack's events about assured TCP flows to `ports`: that one has become assured, or is destroyed. It is
 * polled on this thread's event loop, which it keeps alive. Events may be lost (`overruns`): ask
 * `assuredFlows` for what is true.
 *
 * `onFlows` gets flows that are good for the time of the call only.
 *
 * @throws NetlinkError with code EPERM, or EPROTONOSUPPORT where the kernel has no nfnetlink.
 */
export class FlowEvents {
  readonly counters: Float64Array
  readonly #native: NativeFlowEvents

  constructor(
    ports: PortSet,
    onFlows: (flows: Flows) => void,
    socketBufferBytes: number = SOCKET_BUFFER_BYTES,
  ) {
    this.#native = new (addon().FlowEvents)()
    const { slab } = this.#native
    this.counters = new Float64Array(slab, 0, FLOW_EVENT_COUNTERS.length)
    const bytes = new Uint8Array(slab, COUNTERS_BYTES, BATCH_MAX * FLOW_BYTES)
    try {
      refuse('open a conntrack socket', this.#native.open(socketBufferBytes))
      this.listenTo(ports)
      const deliver = (count: number) => onFlows(new Flows(bytes, count))
      refuse("listen to conntrack's events", this.#native.start(deliver))
    } catch (error) {
      this.#native.close()
      throw error
    }
  }

  /** From now on, events of flows to `ports`. */
  listenTo(ports: PortSet): void {
    refuse("choose among conntrack's events", this.#native.setFilter(flowFilter(ports)))
  }

  /** A second call does nothing. */
  close(): void {
    this.#native.close()
  }
}

function refuse(operation: string, errno: number): void {
  if (errno !== 0) throw new NetlinkError(operation, errnoName(errno))
}
