/** Captures built byte by byte, for what real ones seldom have. */

export interface PcapOptions {
  readonly isLittle?: boolean
  readonly magic?: number
  readonly version?: readonly [major: number, minor: number]
  readonly linkType?: number
  /** What each record header has behind its lengths. */
  readonly extra?: Uint8Array
}

export interface PcapRecord {
  readonly seconds?: number
  readonly fraction?: number
  readonly bytes: Uint8Array
  /** What the record claims instead of the truth. */
  readonly captured?: number
  readonly original?: number
}

export function pcapHeader({
  isLittle = true,
  magic = 0xa1b2c3d4,
  version = [2, 4],
  linkType = 1,
}: PcapOptions) {
  const { u16, u32 } = writers(isLittle)
  return Buffer.concat([u32(magic), u16(version[0]), u16(version[1]), u32(0, 0, 65_535, linkType)])
}

export function pcapRecord(
  record: PcapRecord,
  { isLittle = true, extra = Buffer.alloc(0) }: PcapOptions = {},
) {
  const { seconds = 1_700_000_000, fraction = 0, bytes } = record
  const { captured = bytes.length, original = bytes.length } = record
  return Buffer.concat([writers(isLittle).u32(seconds, fraction, captured, original), extra, bytes])
}

export function pcap(records: readonly PcapRecord[], options: PcapOptions = {}): Buffer {
  return Buffer.concat([pcapHeader(options), ...records.map((record) => pcapRecord(record, options))])
}

export interface InterfaceFields {
  readonly linkType?: number
  readonly snapLength?: number
  /** Option code and value. */
  readonly options?: readonly (readonly [code: number, value: Uint8Array])[]
}

/** The blocks of a pcapng file in one byte order. */
export function pcapng(isLittle: boolean) {
  const { u16, u32 } = writers(isLittle)
  const block = (type: number, ...body: Uint8Array[]) => {
    const padded = pad(Buffer.concat(body))
    const length = u32(padded.length + 12)
    return Buffer.concat([u32(type), length, padded, length])
  }
  const option = (code: number, value: Uint8Array) =>
    Buffer.concat([u16(code), u16(value.length), pad(value)])
  const time = (ticks: bigint) => u32(Number(ticks >> 32n), Number(ticks & 0xffff_ffffn))
  return {
    block,
    section: (major = 1, minor = 0) =>
      block(0x0a0d0d0a, u32(0x1a2b3c4d), u16(major), u16(minor), u32(0xffff_ffff, 0xffff_ffff)),
    interface: ({ linkType = 1, snapLength = 0, options = [] }: InterfaceFields = {}) =>
      block(
        1,
        u16(linkType),
        u16(0),
        u32(snapLength),
        ...options.map(([code, value]) => option(code, value)),
        ...(options.length > 0 ? [u32(0)] : []),
      ),
    enhanced: (bytes: Uint8Array, ticks = 0n, number = 0, captured = bytes.length) =>
      block(6, u32(number), time(ticks), u32(captured, bytes.length), pad(bytes)),
    obsolete: (bytes: Uint8Array, ticks = 0n, number = 0) =>
      block(2, u16(number), u16(0xffff), time(ticks), u32(bytes.length, bytes.length), pad(bytes)),
    simple: (bytes: Uint8Array, original = bytes.length) => block(3, u32(original), pad(bytes)),
    int64: (value: bigint) => {
      const bytes = Buffer.alloc(8)
      new DataView(bytes.buffer, bytes.byteOffset).setBigInt64(0, value, isLittle)
      return bytes
    },
  }
}

/** An Ethernet frame. Each tag is its EtherType; all have VLAN 1. */
export function ethernet(payload: Uint8Array, etherType = 0x0800, tags: readonly number[] = []): Buffer {
  const { u16 } = writers(false)
  const tagged = tags.map((tag) => Buffer.concat([u16(tag), u16(1)]))
  return Buffer.concat([Buffer.alloc(12), ...tagged, u16(etherType), payload])
}

function pad(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)])
}

function writers(isLittle: boolean) {
  const u16 = (value: number) => {
    const bytes = Buffer.alloc(2)
    new DataView(bytes.buffer, bytes.byteOffset).setUint16(0, value, isLittle)
    return bytes
  }
  const u32 = (...values: number[]) => {
    const bytes = Buffer.alloc(4 * values.length)
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    for (const [i, value] of values.entries()) view.setUint32(4 * i, value, isLittle)
    return bytes
  }
  return { u16, u32 }
}
