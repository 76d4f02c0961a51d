import { fstatSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Failure } from '../failure.ts'
import { brokenCapture } from '../replay/capture/ending.ts'
import { CaptureReader } from '../replay/capture/reader.ts'
import type { ReplayedFile } from '../replay/replay.ts'
import { Progress } from './progress.ts'
import { onFirstInterrupt } from './signals.ts'

/** What tcpdump writes when it is told to end comes at once. */
const LAST_PACKETS_MS = 1000

/**
 * Looks at each capture's header, so that a wrong name is found before an hour has gone into those before
 * it. Pipes cannot be read twice.
 *
 * @returns bytes of all together; `undefined` where a pipe is among them.
 * @throws Failure as `CaptureReader.open`
 */
export async function checkCaptures(files: readonly string[]): Promise<number | undefined> {
  let total: number | undefined = 0
  for (const file of files) {
    const stats = file === '-' ? undefined : await stat(file).catch(() => undefined)
    if (file === '-' || stats?.isFIFO() || stats?.isCharacterDevice()) {
      total = undefined
      continue
    }
    const reader = await CaptureReader.open(file)
    await reader.close()
    if (total !== undefined) total += reader.bytesTotal ?? 0
  }
  return total
}

/**
 * Ctrl-C ends a capture that comes from a live `tcpdump`, which ends by the same key, and what has come is told. The
 * second one ends the program.
 *
 * @returns a way to stop that
 */
export function endLiveCaptureOnInterrupt(files: readonly string[]): () => void {
  const stats = files.includes('-') ? fstatSync(process.stdin.fd) : undefined
  if (!stats?.isFIFO() && !stats?.isSocket()) return () => {}
  return onFirstInterrupt(() => {
    setTimeout(() => process.stdin.destroy(), LAST_PACKETS_MS).unref()
  })
}

/** Shows on a terminal how far the reading of several captures has come. */
export class CaptureProgress {
  readonly #bytesTotal: number | undefined
  readonly #line = new Progress(process.stderr)
  #bytes = 0
  #packets = 0

  /** @param bytesTotal of all that will be read; `undefined`: unknown */
  constructor(bytesTotal: number | undefined) {
    this.#bytesTotal = bytesTotal
  }

  show(reader: CaptureReader): void {
    this.#line.show({
      bytes: this.#bytes + reader.bytesRead,
      packets: this.#packets + reader.packets,
      bytesTotal: this.#bytesTotal,
    })
  }

  /** A capture has been read. */
  end(reader: CaptureReader): void {
    this.#bytes += reader.bytesRead
    this.#packets += reader.packets
  }

  /** Takes the line away. */
  clear(): void {
    this.#line.clear()
  }
}

/** @throws Failure with a line for each capture that is broken; at the end, when all is reported. */
export function refuseBroken(files: readonly ReplayedFile[]): void {
  const failures = files.flatMap(({ file, ending }) =>
    ending.kind === 'broken' ? [brokenCapture(file === '-' ? 'standard input' : file, ending)] : [],
  )
  const [first] = failures
  if (first !== undefined) throw new Failure(first.status, failures.map(({ message }) => message).join('\n'))
}
