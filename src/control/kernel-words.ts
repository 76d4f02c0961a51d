import { endianness } from 'node:os'

/**
 * The bytes behind hex digits that the kernel printed as 32-bit words (`%08X`) of an address that lies in
 * memory in network order: on a little-endian machine each group of four comes out backwards.
 */
export function kernelWords(hex: string): Uint8Array {
  const bytes = Uint8Array.from(Buffer.from(hex, 'hex'))
  if (endianness() === 'BE') return bytes
  for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.subarray(at, at + 4).reverse()
  return bytes
}
