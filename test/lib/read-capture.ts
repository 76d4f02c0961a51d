import { writeFileSync } from 'node:fs'
import type { Direction } from '../../src/replay/capture/link-layer.ts'
import { CaptureReader } from '../../src/replay/capture/reader.ts'

/** A copy of what the reader's reused packet held. */
export interface ReadPacket {
  readonly number: number
  readonly timeMs: number
  readonly bytes: Buffer
  readonly originalLength: number
  readonly direction: Direction
}

/** Everything that the reader says of one capture. */
export interface ReadCapture {
  readonly packets: readonly ReadPacket[]
  readonly reader: CaptureReader
}

export async function readCapture(path: string): Promise<ReadCapture> {
  const reader = await CaptureReader.open(path)
  const packets: ReadPacket[] = []
  while (await reader.refill()) {
    while (reader.next()) {
      const { number, timeMs, originalLength, direction, bytes, offset, length } = reader.packet
      packets.push({
        number,
        timeMs,
        originalLength,
        direction,
        bytes: Buffer.from(bytes.subarray(offset, offset + length)),
      })
    }
  }
  await reader.close()
  return { packets, reader }
}

/** Reads a capture given as bytes, by way of the file `path`. */
export function readBytes(path: string, bytes: Uint8Array): Promise<ReadCapture> {
  writeFileSync(path, bytes)
  return readCapture(path)
}
