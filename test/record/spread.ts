import { decode, PacketView } from '../../src/path/decode.ts'
import { type PcapRecord, pcap } from '../lib/capture-files.ts'
import { type ReadPacket, readBytes } from '../lib/read-capture.ts'
import { Scratch } from '../lib/scratch.ts'

/** LINKTYPE_RAW of https://www.tcpdump.org/linktypes.html: packets begin with their IP header. */
const RAW_IP = 101

/**
 * The capture with its TCP connections to `port` set apart, one every `everyMs` in the order of their
 * first packets. Within a connection nothing changes.
 */
export async function spread(capture: Uint8Array, port: number, everyMs: number): Promise<Buffer> {
  const scratch = new Scratch()
  const { packets } = await readBytes(scratch.path('pcap'), capture)
  scratch.close()
  const firstMs = packets[0]!.timeMs
  const delays = new Map<string, number>()
  const moved = packets.map((packet) => {
    const connection = connectionOf(packet, port)
    const delay = delays.get(connection) ?? firstMs + delays.size * everyMs - packet.timeMs
    delays.set(connection, delay)
    return { ...packet, timeMs: packet.timeMs + delay }
  })
  const records = moved.sort((a, b) => a.timeMs - b.timeMs).map(recordOf)
  return pcap(records, { linkType: RAW_IP })
}

/** The client's end. */
function connectionOf({ bytes }: ReadPacket, port: number): string {
  const view = new PacketView()
  decode(view, bytes, 0, bytes.length)
  const isToServer = view.destinationPort === port
  const [at, client] = isToServer ? [12, view.sourcePort] : [16, view.destinationPort]
  return `${bytes.subarray(at, at + 4).join('.')} ${client}`
}

function recordOf({ timeMs, bytes, originalLength }: ReadPacket): PcapRecord {
  const microseconds = Math.round(timeMs * 1000)
  return {
    seconds: Math.floor(microseconds / 1e6),
    fraction: microseconds % 1e6,
    bytes,
    original: originalLength,
  }
}
