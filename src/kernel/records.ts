import { endianness } from 'node:os'
import type { Family, Prefix } from '../net/prefix.ts'

/** `struct Record` of native/record.h: address (16), prefix length, address family, 2 unused, timeout (u32). */
const RECORD_BYTES = 24
const AF_INET = 2
const AF_INET6 = 10
const LITTLE_ENDIAN = endianness() === 'LE'

/** The kernel's number of an address family. */
export function addressFamily(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6
}

/** An address range as the addon passes it to the kernel, with the timeout in seconds where one belongs. */
export interface Entry {
  readonly prefix: Prefix
  readonly timeoutSeconds: number
}

/** The one form in which address ranges cross into C++: an object each would cost more than the kernel's work. */
export function packRecords(entries: readonly Entry[]): Uint8Array {
  const records = new Uint8Array(entries.length * RECORD_BYTES)
  const view = new DataView(records.buffer)
  for (const [i, { prefix, timeoutSeconds }] of entries.entries()) {
    const at = i * RECORD_BYTES
    records.set(prefix.bytes, at)
    records[at + 16] = prefix.length
    records[at + 17] = addressFamily(prefix.family)
    view.setUint32(at + 20, timeoutSeconds, LITTLE_ENDIAN)
  }
  return records
}

export function unpackRecords(records: Uint8Array): Entry[] {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength)
  return Array.from({ length: records.byteLength / RECORD_BYTES }, (_, i) => {
    const at = i * RECORD_BYTES
    const family = records[at + 17] === AF_INET ? 4 : 6
    const bytes = records.slice(at, at + (family === 4 ? 4 : 16))
    return {
      prefix: { family, bytes, length: records[at + 16]! },
      timeoutSeconds: view.getUint32(at + 20, LITTLE_ENDIAN),
    }
  })
}
