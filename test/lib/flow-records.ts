import { endianness } from 'node:os'
import { FLOW_BYTES, Flows, TCP_STATE } from '../../src/kernel/flows.ts'
import { parsePrefix } from '../../src/net/prefix.ts'

/** What a test says of a flow; everything else has an ordinary value. */
export interface FlowFields {
  readonly from: string
  readonly id: number
  readonly port?: number
  readonly sourcePort?: number
  readonly state?: number
  readonly destroyed?: boolean
  readonly startMs?: number
  readonly toServer?: readonly [packets: number, bytes: number]
  readonly toClient?: readonly [packets: number, bytes: number]
}

/** Flows as the addon hands them over: `struct Flow` of native/flow.h. */
export function flows(...list: FlowFields[]): Flows {
  const bytes = new Uint8Array(list.length * FLOW_BYTES)
  const view = new DataView(bytes.buffer)
  const isLittle = endianness() === 'LE'
  for (const [i, flow] of list.entries()) {
    const at = i * FLOW_BYTES
    const address = parsePrefix(flow.from)
    bytes.set(address.bytes, at)
    view.setUint16(at + 32, flow.sourcePort ?? 40_000, isLittle)
    view.setUint16(at + 34, flow.port ?? 22, isLittle)
    bytes[at + 38] = address.family === 4 ? 2 : 10
    view.setUint32(at + 40, flow.id, isLittle)
    bytes[at + 44] = flow.state ?? TCP_STATE.established
    bytes[at + 45] = flow.destroyed ? 1 : 0
    const numbers = [flow.startMs ?? 0, 0, ...(flow.toServer ?? [4, 300]), ...(flow.toClient ?? [3, 400])]
    for (const [n, value] of numbers.entries()) view.setFloat64(at + 48 + n * 8, value, isLittle)
  }
  return new Flows(bytes)
}
