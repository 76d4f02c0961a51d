/** One captured packet from its IP header on. `bytes` is a copy that ends where the capture of it ends. */
export interface CapturedPacket {
  readonly timeMs: number
  readonly bytes: Uint8Array
}

const IPV4 = 0x0800
const IPV6 = 0x86dd

/**
 * A plain reader for test captures: pcap (both byte orders, micro- and nanoseconds) and pcapng (one
 * section at a time, enhanced packet blocks). It stops quietly at the first thing that it does not
 * understand, and yields only what has an IP header.
 */
export function* readCapture(file: Buffer): Generator<CapturedPacket> {
  if (file.length < 24) return
  if (file.readUInt32BE(0) === 0x0a0d0d0a) yield* readPcapng(file)
  else yield* readPcap(file)
}

function* readPcap(file: Buffer): Generator<CapturedPacket> {
  const magic = file.readUInt32LE(0)
  const isLittle = magic === 0xa1b2c3d4 || magic === 0xa1b23c4d
  if (!isLittle && magic !== 0xd4c3b2a1 && magic !== 0x4d3cb2a1) return
  const ticksPerMs = magic === 0xa1b23c4d || magic === 0x4d3cb2a1 ? 1e6 : 1e3
  const u32 = (at: number) => (isLittle ? file.readUInt32LE(at) : file.readUInt32BE(at))
  const linkType = u32(20) & 0xffff
  for (let at = 24; at + 16 <= file.length; ) {
    const length = u32(at + 8)
    if (at + 16 + length > file.length) return
    const bytes = stripLink(linkType, file.subarray(at + 16, at + 16 + length))
    if (bytes !== undefined) yield { timeMs: u32(at) * 1000 + u32(at + 4) / ticksPerMs, bytes }
    at += 16 + length
  }
}

function* readPcapng(file: Buffer): Generator<CapturedPacket> {
  let isLittle = true
  let linkTypes: number[] = []
  const u32 = (at: number) => (isLittle ? file.readUInt32LE(at) : file.readUInt32BE(at))
  for (let at = 0; at + 12 <= file.length; ) {
    if (file.readUInt32BE(at) === 0x0a0d0d0a) {
      isLittle = file.readUInt32LE(at + 8) === 0x1a2b3c4d
      linkTypes = []
    }
    const type = u32(at)
    const length = u32(at + 4)
    if (length < 12 || at + length > file.length) return
    if (type === 1) linkTypes.push(isLittle ? file.readUInt16LE(at + 8) : file.readUInt16BE(at + 8))
    if (type === 6 && length >= 32) {
      const captured = u32(at + 20)
      if (captured > length - 32) return
      const timeMs = (u32(at + 12) * 2 ** 32 + u32(at + 16)) / 1e3
      const bytes = stripLink(linkTypes[u32(at + 8)] ?? -1, file.subarray(at + 28, at + 28 + captured))
      if (bytes !== undefined) yield { timeMs, bytes }
    }
    at += (length + 3) & ~3
  }
}

/** The IP packet inside a frame, or `undefined` when it holds none. */
function stripLink(linkType: number, frame: Buffer): Uint8Array | undefined {
  switch (linkType) {
    case 1: // Ethernet, with any number of VLAN tags
      return stripEtherType(frame, 12)
    case 113: // Linux cooked
      return stripEtherType(frame, 14)
    case 276: // Linux cooked v2
      return frame.length >= 20 && isIp(frame.readUInt16BE(0))
        ? Uint8Array.from(frame.subarray(20))
        : undefined
    case 0: // BSD loopback
      return frame.length > 4 ? Uint8Array.from(frame.subarray(4)) : undefined
    case 12: // raw IP, by three names
    case 101:
    case 228:
    case 229:
      return Uint8Array.from(frame)
    default:
      return undefined
  }
}

function stripEtherType(frame: Buffer, at: number): Uint8Array | undefined {
  let type = at
  while (type + 2 <= frame.length && [0x8100, 0x88a8, 0x9100].includes(frame.readUInt16BE(type))) type += 4
  if (type + 2 > frame.length || !isIp(frame.readUInt16BE(type))) return undefined
  return Uint8Array.from(frame.subarray(type + 2))
}

function isIp(etherType: number): boolean {
  return etherType === IPV4 || etherType === IPV6
}
