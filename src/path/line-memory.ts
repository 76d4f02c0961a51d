/** Of the types of the Web, which are not this program's, the one that is needed. */
declare const WebAssembly: {
  Memory: new (size: { initial: number; maximum: number; shared: true }) => { buffer: SharedArrayBuffer }
}

const PAGE_BYTES = 65_536

/** Less stays in the cache, where it does not matter. */
const LEAST_BYTES = 2 ** 20

/**
 * Zeroed shared memory of at least `bytes` bytes. A large one is memory of WebAssembly's, which begins at a page.
 * What `new SharedArrayBuffer` gives begins 16 bytes behind one, after malloc's own header, so that each record of
 * 64 bytes would lie on two cache lines and cost two misses. It takes 10 GiB of addresses, not of memory; where
 * there are fewer (`ulimit -v`), it is the slower kind.
 */
export function lineMemory(bytes: number): SharedArrayBuffer {
  if (bytes < LEAST_BYTES) return new SharedArrayBuffer(bytes)
  const pages = Math.ceil(bytes / PAGE_BYTES)
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer
  } catch {
    return new SharedArrayBuffer(bytes)
  }
}
