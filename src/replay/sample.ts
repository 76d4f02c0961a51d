import type { Attempt } from './attempt.ts'

const MOST_ATTEMPTS = 10_000
const MOST_BYTES = 4 << 20
/** As much of a packet as any policy lets the daemon read by default, and more. */
const BYTES_EACH = 2048
/** All headers of a packet of an open connection, or enough of them: nothing else is asked of it. */
const BYTES_OF_OTHERS = 128

interface Kept {
  readonly bytes: Uint8Array
  readonly timeMs: number
  readonly nowMs: number
  readonly elapsedMs: number
  readonly number: number
}

/** The first packets of a capture, held back until it is known which of them are inbound. */
export class Sample {
  readonly #kept: Kept[] = []
  #attempts = 0
  #bytes = 0

  /** Keeps a copy of the packet; its `view` is to be decoded anew. `isAttempt`: whether it is to be decided. */
  add({ bytes, offset, length, timeMs, nowMs, elapsedMs, number }: Attempt, isAttempt: boolean): void {
    const copy = bytes.slice(offset, offset + Math.min(length, isAttempt ? BYTES_EACH : BYTES_OF_OTHERS))
    if (isAttempt) this.#attempts++
    this.#kept.push({ bytes: copy, timeMs, nowMs, elapsedMs, number })
    this.#bytes += copy.length
  }

  get isFull(): boolean {
    return this.#attempts >= MOST_ATTEMPTS || this.#bytes >= MOST_BYTES
  }

  /** Fills `attempt`, all but its `view`, with each packet in turn, and forgets them. */
  *drainInto(attempt: Attempt): Generator<Attempt> {
    for (const kept of this.#kept.splice(0)) {
      yield Object.assign(attempt, kept, { offset: 0, length: kept.bytes.length })
    }
  }
}
