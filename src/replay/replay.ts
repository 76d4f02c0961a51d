import type { Prefix } from '../net/prefix.ts'
import type { ClockNotes } from './capture/clock-notes.ts'
import type { CaptureEnding } from './capture/ending.ts'
import { CaptureReader } from './capture/reader.ts'
import type { SkippedPackets } from './capture/skipped-packets.ts'
import type { Engine } from './engine.ts'
import { Intake, type TrafficCounts } from './intake.ts'
import type { Inference } from './local.ts'

export interface ReplayOptions {
  /** Captures, in the order of time; `-` is standard input. */
  readonly files: readonly string[]
  /** Each is offered every attempt. */
  readonly engines: readonly Engine[]
  /** Addresses of the host that sluice would run on; `undefined`: inferred. */
  readonly local: readonly Prefix[] | undefined
  /** Called now and then while a capture is read: the next part of it is read when this resolves. */
  readonly onPause?: (reader: CaptureReader) => void | Promise<void>
  /** Called when a capture has been read. */
  readonly onEnd?: (reader: CaptureReader) => void
}

/** One capture, as far as it could be read. */
export interface ReplayedFile {
  readonly file: string
  readonly packets: number
  readonly ending: CaptureEnding
  readonly clock: ClockNotes
  readonly skipped: SkippedPackets
}

/** What a replay has read, apart from what the engines made of it. */
export interface ReplayFacts {
  readonly files: readonly ReplayedFile[]
  readonly traffic: TrafficCounts
  /** The local addresses, and how they were inferred, if they were. */
  readonly local: readonly Prefix[]
  readonly inference: Inference | undefined
  /** Unix time of the earliest and the latest IP packet; Infinity and -Infinity when there was none. */
  readonly firstMs: number
  readonly lastMs: number
  /** Elapsed time from the first packet on, steps of the clock left out. */
  readonly elapsedMs: number
  /** How often time went back by more than disorder explains, within a file or from one to the next. */
  readonly clockSteps: number
  /** Offences under the first policy of sources that are not seen to have completed enough handshakes. */
  readonly unproven: number
}

/**
 * Replays captures one after the other as one timeline: buckets, strikes and bans go on from file to file,
 * as with the pieces that `tcpdump -C` or `-G` writes.
 *
 * @throws Failure when a capture cannot be opened (see `CaptureReader.open`). A broken one is read as far
 *   as it goes: see `ReplayedFile.ending`.
 */
export async function replay({ files, engines, local, onPause, onEnd }: ReplayOptions): Promise<ReplayFacts> {
  const intake = new Intake(engines, local)
  const replayed: ReplayedFile[] = []
  for (const file of files) {
    const reader = await CaptureReader.open(file)
    try {
      while (await reader.refill()) {
        while (reader.next()) intake.take(reader.packet)
        await onPause?.(reader)
      }
    } finally {
      await reader.close()
    }
    const { packets, ending = { kind: 'complete' }, clock, skipped } = reader
    onEnd?.(reader)
    replayed.push({ file, packets, ending, clock, skipped })
  }
  intake.finish()
  const { counts, inference, clock, firstMs, lastMs } = intake
  return {
    files: replayed,
    traffic: counts,
    local: local ?? inference?.prefixes ?? [],
    inference,
    firstMs,
    lastMs,
    elapsedMs: clock.elapsedMs,
    clockSteps: clock.steps,
    unproven: engines[0]?.unproven ?? 0,
  }
}
