import type { ByteSource } from './byte-source.ts'

/**
 * Eight times the largest packet, so that a refill moves little and reads much. 8 million packets of 60
 * bytes took 460 ms with 256 KiB, 340 with 1 MiB, 310 with 2 MiB, 300 with 4 MiB.
 */
const WINDOW_BYTES = 1 << 21

/**
 * The part of a capture that is in memory: `bytes[start, end)` is what has been read and not yet consumed.
 * The buffer is allocated once and never replaced; memory stays the same whatever the capture's size.
 */
export class Window {
  readonly bytes = new Uint8Array(WINDOW_BYTES)
  readonly view = new DataView(this.bytes.buffer)
  start = 0
  end = 0
  readonly #source: ByteSource
  /** Where in the capture `bytes[0]` comes from. */
  #base = 0

  constructor(source: ByteSource) {
    this.#source = source
  }

  /** Where in the capture `start` is. For a compressed file: in what it unpacks to. */
  get position(): number {
    return this.#base + this.start
  }

  get available(): number {
    return this.end - this.start
  }

  /** Reads on, which moves what is left to the front. `false` at the end of the source; errors are the source's. */
  async fill(): Promise<boolean> {
    this.bytes.copyWithin(0, this.start, this.end)
    this.#base += this.start
    this.end -= this.start
    this.start = 0
    const count = await this.#source.read(this.bytes, this.end)
    this.end += count
    return count > 0
  }
}
