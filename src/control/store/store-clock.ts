import { readFileSync, readlinkSync } from 'node:fs'
import { pathClockMs } from '../threads/path-clock.ts'

/** A moment on both clocks, as the store remembers when it was written. */
export interface Stamp {
  /** Of the kernel whose sets and whose monotonic clock were meant. */
  readonly epoch: string
  /** CLOCK_MONOTONIC. */
  readonly monotonicMs: number
  readonly wallMs: number
}

/**
 * Names the kernel state that bans live in: this boot, and this network namespace. In the same epoch ban sets
 * are still there, and CLOCK_MONOTONIC has gone on; after a reboot, or in a new container, neither.
 */
function kernelEpoch(): string {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return `${bootId} ${readlinkSync('/proc/self/ns/net')}`
}

/** The present moment. */
export function stampNow(): Stamp {
  return { epoch: kernelEpoch(), monotonicMs: pathClockMs(), wallMs: Date.now() }
}

/** How much the wall clock has been set since `then`, of the same epoch, in milliseconds. */
export function clockStep(then: Stamp, now: Stamp): number {
  return now.wallMs - then.wallMs - (now.monotonicMs - then.monotonicMs)
}

/** Converts between the daemon's monotonic time and the wall clock of the rows in the store. */
export interface RowClock {
  toWall(monotonicMs: number): number
  toMonotonic(wallMs: number): number
}

/** For rows that are written now, when the wall clock says `wallMs`. @param now the daemon's monotonic milliseconds. */
export function writingClock(now: () => number, wallMs: number): RowClock {
  const nowMs = now()
  return {
    toWall: (ms) => Math.round(wallMs + ms - nowMs),
    toMonotonic: (ms) => ms - wallMs + nowMs,
  }
}

/**
 * For rows that were written at `stamp`. Within one boot the monotonic clock says how long ago that was, so that
 * a clock that was set meanwhile changes no ban. After a reboot only the wall clock can say it; where that has
 * gone back, no time has passed: a ban may then last too long by the time that the machine was off, and no more.
 */
export function readingClock(stamp: Stamp, present: Stamp, now: () => number): RowClock {
  const elapsedMs =
    stamp.epoch === present.epoch
      ? present.monotonicMs - stamp.monotonicMs
      : Math.max(0, present.wallMs - stamp.wallMs)
  const nowMs = now()
  const rowsNowMs = stamp.wallMs + elapsedMs
  return {
    toWall: (ms) => ms - nowMs + rowsNowMs,
    toMonotonic: (ms) => ms - rowsNowMs + nowMs,
  }
}
