import { readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { EXIT, Failure } from '../../failure.ts'
import { systemReason } from '../../system-reason.ts'

/** Where a capture's bytes come from. */
export interface ByteSource {
  /** Writes the next bytes into `into` from `at` on, at least one; the number written, 0 at the end. */
  read(into: Uint8Array, at: number): Promise<number>
  close(): Promise<void>
  readonly bytesRead: number
  /** `undefined` where nobody knows, as for a pipe. */
  readonly bytesTotal: number | undefined
}

/** An open file. */
export class FileSource implements ByteSource {
  bytesRead = 0
  readonly bytesTotal: number | undefined
  readonly #handle: FileHandle

  private constructor(handle: FileHandle, bytesTotal: number | undefined) {
    this.#handle = handle
    this.bytesTotal = bytesTotal
  }

  /** @throws Failure `noInput` when `path` cannot be opened or is a directory. */
  static async open(path: string): Promise<FileSource> {
    const handle = await open(path).catch((error) => {
      throw new Failure(EXIT.noInput, `${path}: cannot open: ${systemReason(error)}`)
    })
    const stat = await handle.stat()
    if (stat.isDirectory()) {
      await handle.close()
      throw new Failure(EXIT.noInput, `${path}: is a directory, not a capture`, 'name the files in it')
    }
    return new FileSource(handle, stat.isFile() ? stat.size : undefined)
  }

  async read(into: Uint8Array, at: number): Promise<number> {
    const length = into.length - at
    // A file does not keep us waiting, as another thread would that reads it for us; a pipe does.
    const bytesRead =
      this.bytesTotal === undefined
        ? (await this.#handle.read(into, at, length, null)).bytesRead
        : readSync(this.#handle.fd, into, at, length, null)
    this.bytesRead += bytesRead
    return bytesRead
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/**
 * A stream, read by hand: `for await` would drop what is still buffered when the stream fails, and the
 * packets before the damage in a compressed capture are wanted.
 */
export class StreamSource implements ByteSource {
  bytesRead = 0
  readonly bytesTotal = undefined
  readonly #stream: Readable
  #rest: Uint8Array = new Uint8Array(0)
  #wake = () => {}
  #error: Error | undefined

  constructor(stream: Readable) {
    this.#stream = stream
    for (const event of ['readable', 'end', 'close']) stream.on(event, () => this.#wake())
    stream.on('error', (error) => {
      this.#error = error
      this.#wake()
    })
  }

  async read(into: Uint8Array, at: number): Promise<number> {
    while (this.#rest.length === 0) {
      const chunk: Uint8Array | null = this.#stream.read()
      if (chunk !== null) this.#rest = chunk
      else if (this.#error !== undefined) throw this.#error
      else if (this.#stream.readableEnded || this.#stream.closed) return 0
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    const part = this.#rest.subarray(0, into.length - at)
    into.set(part, at)
    this.#rest = this.#rest.subarray(part.length)
    this.bytesRead += part.length
    return part.length
  }

  async close(): Promise<void> {
    this.#stream.destroy()
  }
}
