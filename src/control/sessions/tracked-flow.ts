import type { Flows } from '../../kernel/flows.ts'
import { type Prefix, SOURCE_BITS, widen } from '../../net/prefix.ts'
import type { Session, Volume } from './session.ts'

/** TCP and IP headers of a SYN-ACK, which has the most options of packets without data. */
const HEADERS_BYTES = { 4: 60, 6: 80 } as const
const NOTHING: Volume = { packets: 0, bytes: 0 }

/** What is kept of any flow: enough to know it again. */
export interface SeenFlow {
  /** Unix time as conntrack has it; 0 for none. */
  readonly startedAt: number
  /** The number of the last look that has seen it. */
  look: number
  /** Looks since then that should have. */
  misses: number
}

/** A connection to one of our services that goes on. */
export interface TrackedFlow extends SeenFlow {
  readonly address: Prefix
  readonly service: string
  /** How to ask the kernel for it. */
  readonly tuple: Uint8Array
  /** Monotonic. */
  readonly startMs: number
  readonly hasTimestamps: boolean | undefined
  isProven: boolean
  isEnding: boolean
  /** When it may be said to have succeeded, again; 0: it has not been yet. */
  succeedsMs: number
  toServer: Volume
  toClient: Volume
}

/** Flow `i` of `flows`, with nothing carried yet. */
export function beginFlow(
  flows: Flows,
  i: number,
  known: Pick<TrackedFlow, 'address' | 'service' | 'startMs' | 'hasTimestamps'>,
): TrackedFlow {
  return {
    ...known,
    tuple: flows.tuple(i),
    startedAt: flows.startMs(i),
    isProven: false,
    isEnding: false,
    succeedsMs: 0,
    misses: 0,
    look: 0,
    toServer: NOTHING,
    toClient: NOTHING,
  }
}

/** Takes over how much flow `i` of `flows` has carried. */
export function countFlow(flow: TrackedFlow, flows: Flows, i: number): void {
  const packets = flows.toServerPackets(i)
  if (packets !== flow.toServer.packets) flow.toServer = { packets, bytes: flows.toServerBytes(i) }
  const answers = flows.toClientPackets(i)
  if (answers !== flow.toClient.packets) flow.toClient = { packets: answers, bytes: flows.toClientBytes(i) }
}

/** Whether the server has sent more than a handshake and a reset can hold. */
export function hasServerData({ address, toClient }: TrackedFlow): boolean {
  return toClient.bytes > toClient.packets * HEADERS_BYTES[address.family]
}

/** @param nowMs monotonic */
export function sessionOf(
  { address, service, startMs, hasTimestamps, succeedsMs, toServer, toClient }: TrackedFlow,
  nowMs: number,
): Session {
  const durationMs = Math.max(0, nowMs - startMs)
  const counted = { durationMs, hasTimestamps, toServer, toClient }
  return { source: sourceOf(address), address, service, ...counted, isKnown: succeedsMs > 0 }
}

/** A client as the limits know it. */
export function sourceOf(address: Prefix): Prefix {
  return widen(address, SOURCE_BITS[address.family])
}
