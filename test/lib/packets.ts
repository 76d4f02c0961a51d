import { type Family, parsePrefix } from '../../src/net/prefix.ts'

/** What a test says of a packet; everything else has an ordinary value. */
export interface PacketFields {
  readonly from: string
  readonly to?: string
  readonly sourcePort?: number
  readonly port: number
  readonly protocol?: 'tcp' | 'udp'
  /** SYN unless said otherwise. */
  readonly tcpFlags?: number
  readonly sequence?: number
  /** TCP options, a multiple of four bytes. */
  readonly options?: readonly number[]
  readonly payload?: Uint8Array
}

/** An IPv4 or IPv6 packet, by the family of `from`. Checksums are 0: the path does not look at them. */
export function packet(fields: PacketFields): Uint8Array {
  const source = parsePrefix(fields.from)
  const isTcp = fields.protocol !== 'udp'
  const payload = fields.payload ?? new Uint8Array()
  const transport = isTcp ? tcpHeader(fields) : udpHeader(fields, payload.length)
  const body = Uint8Array.from([...transport, ...payload])
  const header = ipHeader(source.family, source.bytes, fields.to, isTcp ? 6 : 17, body.length)
  return Uint8Array.from([...header, ...body])
}

function ipHeader(
  family: Family,
  source: Uint8Array,
  to: string | undefined,
  protocol: number,
  length: number,
) {
  const target = parsePrefix(to ?? (family === 4 ? '192.0.2.1' : '2001:db8::1')).bytes
  if (family === 6) return [0x60, 0, 0, 0, length >> 8, length & 255, protocol, 64, ...source, ...target]
  const total = 20 + length
  return [0x45, 0, total >> 8, total & 255, 0, 0, 0x40, 0, 64, protocol, 0, 0, ...source, ...target]
}

function tcpHeader(fields: PacketFields): number[] {
  const { options = [] } = fields
  const header = new DataView(new ArrayBuffer(20))
  header.setUint16(0, fields.sourcePort ?? 40_000)
  header.setUint16(2, fields.port)
  header.setUint32(4, fields.sequence ?? 1)
  header.setUint8(12, (5 + options.length / 4) << 4)
  header.setUint8(13, fields.tcpFlags ?? 0x02)
  return [...new Uint8Array(header.buffer), ...options]
}

function udpHeader(fields: PacketFields, payloadLength: number): number[] {
  const header = new DataView(new ArrayBuffer(8))
  header.setUint16(0, fields.sourcePort ?? 40_000)
  header.setUint16(2, fields.port)
  header.setUint16(4, 8 + payloadLength)
  return [...new Uint8Array(header.buffer)]
}
