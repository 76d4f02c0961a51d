import { endianness } from 'node:os'
import type { Prefix } from '../net/prefix.ts'
import { addon } from './addon.ts'
import { errnoName, NetlinkError } from './netlink-error.ts'
import type { PortSet } from './port-set.ts'

/** `struct Flow` of native/flow.h, whose first bytes are a `struct FlowTuple`. */
export const FLOW_BYTES = 96
const TUPLE_BYTES = 40
const AF_INET = 2
const LITTLE_ENDIAN = endianness() === 'LE'

/** States of a connection, of enum tcp_conntrack in linux/netfilter/nf_conntrack_tcp.h. */
export const TCP_STATE = { established: 3, lastAck: 6, timeWait: 7, close: 8 } as const

/**
 * Assured TCP flows as the addon hands them over: read in place, since an object each would cost more than
 * the kernel's work. `i` counts from 0.
 */
export class Flows {
  readonly length: number
  readonly #bytes: Uint8Array
  readonly #view: DataView

  /** @param bytes `struct Flow`, one behind the other; read when asked, so it may be filled again. */
  constructor(bytes: Uint8Array, length = bytes.byteLength / FLOW_BYTES) {
    this.length = length
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** The client's address. */
  address(i: number): Prefix {
    const at = i * FLOW_BYTES
    const isIPv4 = this.#bytes[at + 38] === AF_INET
    const bytes = this.#bytes.slice(at, at + (isIPv4 ? 4 : 16))
    return { family: isIPv4 ? 4 : 6, bytes, length: isIPv4 ? 32 : 128 }
  }

  /** The client's port. */
  sourcePort(i: number): number {
    return this.#view.getUint16(i * FLOW_BYTES + 32, LITTLE_ENDIAN)
  }

  /** The port that the client asked for, whatever DNAT made of it. */
  destinationPort(i: number): number {
    return this.#view.getUint16(i * FLOW_BYTES + 34, LITTLE_ENDIAN)
  }

  /** One of `TCP_STATE` or another of the enum; 0 if the kernel did not say. */
  state(i: number): number {
    return this.#bytes[i * FLOW_BYTES + 44]!
  }

  /** Whether the kernel has forgotten it: an event only. */
  isDestroyed(i: number): boolean {
    return this.#bytes[i * FLOW_BYTES + 45] === 1
  }

  /** What `flowsOf` takes to ask for it again: a copy, so small that V8 keeps it on its heap. */
  tuple(i: number): Uint8Array {
    const at = i * FLOW_BYTES
    return this.#bytes.slice(at, at + TUPLE_BYTES)
  }

  /** Tells flows apart: the kernel's random id of 32 bits, and the client's port. */
  key(i: number): number {
    const at = i * FLOW_BYTES
    return this.#view.getUint32(at + 40, LITTLE_ENDIAN) * 65_536 + this.sourcePort(i)
  }

  /** Unix time in ms; 0 without nf_conntrack_timestamp. */
  startMs(i: number): number {
    return this.#double(i, 0)
  }

  toServerPackets(i: number): number {
    return this.#double(i, 2)
  }

  /** With IP headers; 0 without nf_conntrack_acct, as all four. */
  toServerBytes(i: number): number {
    return this.#double(i, 3)
  }

  toClientPackets(i: number): number {
    return this.#double(i, 4)
  }

  toClientBytes(i: number): number {
    return this.#double(i, 5)
  }

  #double(i: number, nth: number): number {
    return this.#view.getFloat64(i * FLOW_BYTES + 48 + nth * 8, LITTLE_ENDIAN)
  }
}

/**
 * Every assured TCP flow to one of `ports`, of both families, as conntrack has it now: one pass over the
 * kernel's table, in which the kernel leaves out what is not assured. Costs 10 to 20 ms for a table of
 * 262,144 buckets, however few the flows are.
 *
 * @throws NetlinkError without CAP_NET_ADMIN (EPERM) or connection tracking (EINVAL).
 */
export function assuredFlows(ports: PortSet): Flows {
  const flows = addon().assuredFlows(ports.bits)
  if (typeof flows !== 'number') return new Flows(flows)
  throw new NetlinkError('list connections', errnoName(flows))
}

/**
 * Those of `tuples` that conntrack still has and that are assured, in their order, as they are now. Costs a few
 * microseconds for each, and nothing for all other flows of the host.
 *
 * @throws NetlinkError as `assuredFlows`.
 */
export function flowsOf(tuples: readonly Uint8Array[]): Flows {
  const bytes = new Uint8Array(tuples.length * TUPLE_BYTES)
  for (const [i, tuple] of tuples.entries()) bytes.set(tuple, i * TUPLE_BYTES)
  const flows = addon().flowsOf(bytes)
  if (typeof flows !== 'number') return new Flows(flows)
  throw new NetlinkError('ask for connections', errnoName(flows))
}
