import { roughDuration } from '../control/rough-duration.ts'
import { grouped } from '../grouped.ts'

/** What takes less is over before a bar is read. */
const QUIET_MS = 1000
const EVERY_MS = 200
const BAR = 20

/** How far a long reading has come. */
export interface Reading {
  readonly bytes: number
  /** `undefined` for a pipe. */
  readonly bytesTotal: number | undefined
  readonly packets: number
}

/** A line on a terminal that says how far it is, how fast and for how long still; elsewhere, nothing. */
export class Progress {
  readonly #terminal: NodeJS.WriteStream
  readonly #now: () => number
  readonly #startMs: number
  #shownMs: number
  #isShown = false

  /** @param now milliseconds */
  constructor(terminal: NodeJS.WriteStream, now: () => number = () => performance.now()) {
    this.#terminal = terminal
    this.#now = now
    this.#startMs = now()
    this.#shownMs = this.#startMs + QUIET_MS - EVERY_MS
  }

  show(reading: Reading): void {
    const nowMs = this.#now()
    if (!this.#terminal.isTTY || nowMs - this.#shownMs < EVERY_MS) return
    this.#shownMs = nowMs
    this.#isShown = true
    this.#terminal.write(`\r${formatProgress(reading, (nowMs - this.#startMs) / 1000)}\x1b[K`)
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#isShown) this.#terminal.write('\r\x1b[K')
    this.#isShown = false
  }
}

/** The line itself, at most 80 columns. @param seconds since the start */
export function formatProgress({ bytes, bytesTotal, packets }: Reading, seconds: number): string {
  const rate = `${short(packets / seconds)} packets/s  ${short(bytes / seconds)}B/s`
  if (bytesTotal === undefined) return `${grouped(packets)} packets  ${rate}`
  const share = Math.min(1, bytes / bytesTotal)
  const filled = Math.floor(share * BAR)
  const left = roughDuration((seconds / share - seconds) * 1000)
  const percent = `${Math.floor(share * 100)}`.padStart(3)
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR - filled)}] ${percent} %  ${rate}  ${left} left`
}

/** `1.2 M`, `340 k`, with the unit's letter at the end. */
function short(value: number): string {
  const [size, letter] =
    value >= 1e9 ? [1e9, 'G'] : value >= 1e6 ? [1e6, 'M'] : value >= 1e3 ? [1e3, 'k'] : [1, '']
  return `${Number((value / size).toPrecision(3))} ${letter}`
}
