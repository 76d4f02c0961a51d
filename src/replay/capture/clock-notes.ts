/** Longer than a quiet night between two packets. */
const JUMP_MS = 24 * 3600 * 1000
/** A first packet of 1970 says that the clock was not set, or that times are counted from the start. */
const YEAR_MS = 365 * JUMP_MS

/** The furthest from 1970 that a date of ECMAScript is (ECMA-262, Time Values): 273,790 years. */
export const FURTHEST_MS = 8.64e15

/** How often something happened to a capture's clock, to which packet first, and by how much at most. */
export interface ClockNote {
  count: number
  firstPacket: number
  mostMs: number
}

/** What is odd about the times of a capture's packets. They are noted here, not corrected. */
export class ClockNotes {
  /** Packets dated before the one that precedes them. */
  readonly backwards: ClockNote = { count: 0, firstPacket: 0, mostMs: 0 }
  /** Packets dated more than a day after the one that precedes them. */
  readonly jumps: ClockNote = { count: 0, firstPacket: 0, mostMs: 0 }
  /** Packets without a time, which get that of the one before. */
  untimed = 0
  /** Packets dated further from 1970 than a calendar goes; they get the last date that there is, or the first. */
  impossible = 0
  /** The first time is within a year of 1970. */
  startsAtZero = false
  #lastMs = Number.NaN

  /** Takes the frame and not its time: a double that is handed over is put into an object, one for each packet. */
  see({ timeMs }: { readonly timeMs: number }, packet: number): void {
    const stepMs = timeMs - this.#lastMs
    if (stepMs < 0) note(this.backwards, packet, -stepMs)
    else if (stepMs > JUMP_MS) note(this.jumps, packet, stepMs)
    else if (Number.isNaN(stepMs)) this.startsAtZero = Math.abs(timeMs) < YEAR_MS
    if (Math.abs(timeMs) >= FURTHEST_MS) this.impossible++
    this.#lastMs = timeMs
  }
}

function note(note: ClockNote, packet: number, byMs: number): void {
  if (note.count === 0) note.firstPacket = packet
  note.count++
  note.mostMs = Math.max(note.mostMs, byMs)
}
