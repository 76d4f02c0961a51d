import { fstatSync } from 'node:fs'
import { EXIT, Failure } from '../../failure.ts'
import { type ByteSource, FileSource, StreamSource } from './byte-source.ts'
import { COMPRESSION_MAGIC_BYTES, decompress, findCompression } from './compression.ts'
import type { FrameFormat } from './frame-format.ts'
import { PCAP_HEADER_BYTES, PcapFormat } from './pcap.ts'
import { PcapngFormat } from './pcapng.ts'
import { Window } from './window.ts'

/** A capture whose format is known. */
export interface CaptureInput {
  /** The file itself, packed or not: where progress is measured, and what must be closed. */
  readonly file: ByteSource
  readonly window: Window
  readonly format: FrameFormat
}

/**
 * Opens the capture at `path`, where `-` is standard input.
 *
 * @throws Failure `noInput` when it cannot be read, `dataError` when it is no capture, `unavailable` when
 *   Node cannot unpack it, `usage` when standard input is a terminal.
 */
export async function openInput(path: string): Promise<CaptureInput> {
  const name = path === '-' ? 'standard input' : path
  const file = path === '-' ? openStandardInput() : await FileSource.open(path)
  try {
    const window = await openWindow(name, file)
    return { file, window, format: findFormat(name, window) }
  } catch (error) {
    await file.close()
    throw error
  }
}

function openStandardInput(): ByteSource {
  if (process.stdin.isTTY) {
    throw new Failure(
      EXIT.usage,
      'standard input is a terminal, not a capture',
      'tcpdump -w - | sluice replay -',
    )
  }
  if (fstatSync(process.stdin.fd).isDirectory()) {
    throw new Failure(EXIT.noInput, 'standard input is a directory, not a capture')
  }
  return new StreamSource(process.stdin)
}

/** A window at the beginning of the unpacked capture. */
async function openWindow(name: string, file: ByteSource): Promise<Window> {
  const window = new Window(file)
  await fillTo(window, name, COMPRESSION_MAGIC_BYTES)
  const compression = findCompression(window.bytes)
  if (compression === undefined) {
    await fillTo(window, name, PCAP_HEADER_BYTES)
    return window
  }
  const head = window.bytes.subarray(0, window.end)
  const unpacked = new Window(decompress(name, compression, head, file))
  await fillTo(unpacked, name, PCAP_HEADER_BYTES)
  // Node does not say of zstd that it is cut short.
  if (unpacked.available === 0) throw new Failure(EXIT.dataError, `${name}: unpacks to nothing`)
  return unpacked
}

async function fillTo(window: Window, name: string, count: number): Promise<void> {
  try {
    while (window.available < count && (await window.fill()));
  } catch (error) {
    const { message, syscall } = error as NodeJS.ErrnoException
    // Without a system call it was the unpacking that failed.
    throw new Failure(
      syscall === undefined ? EXIT.dataError : EXIT.noInput,
      `${name}: cannot read: ${message}`,
    )
  }
}

function findFormat(name: string, window: Window): FrameFormat {
  if (PcapngFormat.isAt(window)) return new PcapngFormat(window)
  const format = PcapFormat.isAt(window) ? PcapFormat.begin(window) : describe(window)
  if (typeof format === 'string') throw new Failure(EXIT.dataError, `${name}: ${format}`)
  return format
}

function describe({ bytes, start, available }: Window): string {
  if (available === 0) return 'is empty'
  const head = Buffer.from(bytes.buffer, start, Math.min(available, 4)).toString('hex')
  return `is neither pcap nor pcapng: it begins with the bytes ${head}`
}
