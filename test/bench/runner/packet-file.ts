/** What path.c reads: how many, offset and length of each, and their bytes, each on a cache line of its own. */
export function packetFile(packets: readonly Uint8Array[]): Uint8Array {
  const index = new Uint32Array(1 + 2 * packets.length)
  index[0] = packets.length
  let end = 0
  for (const [i, { length }] of packets.entries()) {
    index.set([end, length], 1 + 2 * i)
    end += Math.ceil(length / 64) * 64
  }
  const bytes = new Uint8Array(index.byteLength + end)
  bytes.set(new Uint8Array(index.buffer))
  for (const [i, each] of packets.entries()) bytes.set(each, index.byteLength + index[1 + 2 * i]!)
  return bytes
}
