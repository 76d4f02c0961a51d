import { pipeline, Readable, type Transform } from 'node:stream'
import * as zlib from 'node:zlib'
import { EXIT, Failure } from '../../failure.ts'
import { type ByteSource, StreamSource } from './byte-source.ts'

interface Compression {
  readonly name: string
  readonly magic: readonly number[]
  /** The program that unpacks it to standard output. */
  readonly command: string
  /** `undefined` where Node cannot unpack it. */
  readonly createStream?: (() => Transform) | undefined
}

/** Node has zstd from 22.15 and 23.8 on. */
const { createZstdDecompress } = zlib as { createZstdDecompress?: () => Transform }

const COMPRESSIONS: readonly Compression[] = [
  { name: 'gzip', magic: [0x1f, 0x8b], command: 'gzip -dc', createStream: () => zlib.createGunzip() },
  { name: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd], command: 'zstd -dc', createStream: createZstdDecompress },
  { name: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], command: 'xz -dc' },
  { name: 'bzip2', magic: [0x42, 0x5a, 0x68], command: 'bzip2 -dc' },
  { name: 'lz4', magic: [0x04, 0x22, 0x4d, 0x18], command: 'lz4 -dc' },
]

/** Bytes that must be there before `findCompression` can tell. */
export const COMPRESSION_MAGIC_BYTES = 6

/** What the file that begins with `head` is compressed with; `undefined` when it is not. */
export function findCompression(head: Uint8Array): Compression | undefined {
  return COMPRESSIONS.find(({ magic }) => magic.every((byte, i) => head[i] === byte))
}

/**
 * What `source` unpacks to, with `head` in front of it.
 *
 * @throws Failure `unavailable` when Node cannot unpack it; the remedy names the program that can.
 */
export function decompress(
  path: string,
  { name, command, createStream }: Compression,
  head: Uint8Array,
  source: ByteSource,
): ByteSource {
  if (createStream === undefined) {
    throw new Failure(
      EXIT.unavailable,
      `${path}: is compressed with ${name}, which Node ${process.versions.node} cannot unpack`,
      `${command} FILE | sluice replay -`,
    )
  }
  const packed = Readable.from(chunks(head, source), { objectMode: false, highWaterMark: 1 })
  // Errors reach the reader through the last stream.
  return new StreamSource(pipeline(packed, createStream(), () => {}))
}

async function* chunks(head: Uint8Array, source: ByteSource): AsyncGenerator<Uint8Array> {
  yield head
  for (;;) {
    const chunk = new Uint8Array(1 << 16)
    const count = await source.read(chunk, 0)
    if (count === 0) return
    yield chunk.subarray(0, count)
  }
}
