import { PacketView } from '../path/decode.ts'

/**
 * A packet that the kernel might queue, filled for each and reused. It begins with its IP header at
 * `bytes[offset]`; nothing in it lasts beyond the call that it was handed to.
 */
export class Attempt {
  bytes: Uint8Array = new Uint8Array()
  offset = 0
  length = 0
  /** `timeMs`, `nowMs` and `elapsedMs`: a number that is handed from call to call costs an object on the heap. */
  declare readonly times: Float64Array
  /** Its number in its capture, from 1, as in Wireshark. */
  number = 0
  readonly view = new PacketView()

  constructor() {
    this.times = new Float64Array(3)
  }

  /** Unix time as the capture has it. */
  get timeMs(): number {
    return this.times[0]!
  }

  set timeMs(ms: number) {
    this.times[0] = ms
  }

  /** Time of `CaptureClock`, which never goes back. */
  get nowMs(): number {
    return this.times[1]!
  }

  set nowMs(ms: number) {
    this.times[1] = ms
  }

  /** Since the first packet of the replay. */
  get elapsedMs(): number {
    return this.times[2]!
  }

  set elapsedMs(ms: number) {
    this.times[2] = ms
  }

  /** Where its source address begins in `bytes`. */
  get sourceAt(): number {
    return this.offset + (this.view.family === 4 ? 12 : 8)
  }

  /** Where its destination address begins in `bytes`. */
  get destinationAt(): number {
    return this.offset + (this.view.family === 4 ? 16 : 24)
  }

  /** Bytes on the wire from the IP header on, as it says: the padding of short frames is left out. */
  get ipLength(): number {
    const { bytes, offset, view } = this
    const at = offset + (view.family === 4 ? 2 : 4)
    return ((bytes[at]! << 8) | bytes[at + 1]!) + (view.family === 4 ? 0 : 40)
  }
}
