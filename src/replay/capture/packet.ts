import { Direction } from './link-layer.ts'

/** One captured IP packet, filled by `CaptureReader.next` and reused for the next. */
export class CapturedPacket {
  /** The reader's window: always the same array. What lies in it stays only until the next `refill`. */
  readonly bytes: Uint8Array
  /** Where the IP header begins in `bytes`, and how many bytes from there on were captured. */
  offset = 0
  length = 0
  /** As `length`, on the wire; padding of the frame included. */
  originalLength = 0
  /** Unix time as the capture has it, which may stand still, jump or go backwards: see `ClockNotes`. */
  timeMs = 0
  /** Its number among all packets of the capture, those without IP included, from 1, as in Wireshark. */
  number = 0
  direction: Direction = Direction.unknown

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}
