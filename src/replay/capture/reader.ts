import { ClockNotes } from './clock-notes.ts'
import type { CaptureEnding } from './ending.ts'
import { Frame } from './frame-format.ts'
import { type CaptureInput, openInput } from './input.ts'
import { directionOf, findIp } from './link-layer.ts'
import { CapturedPacket } from './packet.ts'
import { SkippedPackets } from './skipped-packets.ts'

/**
 * Reads the IP packets of a capture: pcap or pcapng, plain or compressed, a file or standard input, in
 * constant memory and without allocation per packet.
 *
 *     const reader = await CaptureReader.open(path)
 *     while (await reader.refill()) {
 *       while (reader.next()) judge(reader.packet)
 *     }
 *     await reader.close()
 *
 * A broken capture is read as far as it goes; then `ending` says where it broke and why.
 */
export class CaptureReader {
  readonly packet: CapturedPacket
  readonly skipped = new SkippedPackets()
  readonly clock = new ClockNotes()
  /** Packets seen so far, with and without IP. */
  packets = 0
  /** `undefined` until the end is reached. */
  ending: CaptureEnding | undefined
  readonly #input: CaptureInput
  readonly #frame = new Frame()
  #isDrained = false

  private constructor(input: CaptureInput) {
    this.#input = input
    this.packet = new CapturedPacket(input.window.bytes)
  }

  /**
   * Opens the capture at `path`, where `-` is standard input, and reads its header.
   *
   * @throws Failure `noInput` when it cannot be read, `dataError` when it is no capture, `unavailable` when
   *   Node cannot unpack it, `usage` when standard input is a terminal.
   */
  static async open(path: string): Promise<CaptureReader> {
    return new CaptureReader(await openInput(path))
  }

  /** Bytes read of the file, packed if it is; for showing progress. */
  get bytesRead(): number {
    return this.#input.file.bytesRead
  }

  /** How many bytes the file has; `undefined` for a pipe. */
  get bytesTotal(): number | undefined {
    return this.#input.file.bytesTotal
  }

  /** Reads the next part of the capture, for `next` to go through. `false` when there is none: see `ending`. */
  async refill(): Promise<boolean> {
    if (this.ending !== undefined) return false
    if (!this.#isDrained) return true
    try {
      this.#isDrained = !(await this.#input.window.fill())
      if (this.#isDrained) this.#end(this.#input.format.reason)
    } catch (error) {
      this.#end(`cannot read on: ${(error as Error).message}`)
    }
    return !this.#isDrained
  }

  /** Fills `packet` with the next IP packet. `false` when what was read is used up, or the capture is broken. */
  next(): boolean {
    const frame = this.#frame
    for (;;) {
      const step = this.#input.format.next(frame)
      if (step !== 'frame') {
        this.#isDrained = true
        if (step === 'broken') this.#end(this.#input.format.reason)
        return false
      }
      this.packets++
      if (frame.isTimed) this.clock.see(frame, this.packets)
      else this.clock.untimed++
      const { bytes } = this.packet
      const offset = findIp(frame.linkType, bytes, frame.offset, frame.offset + frame.length)
      if (offset >= 0) {
        this.#fillPacket(offset)
        return true
      }
      this.skipped.add(offset, frame.linkType)
    }
  }

  async close(): Promise<void> {
    await this.#input.file.close()
  }

  #fillPacket(offset: number): void {
    const { packet } = this
    const frame = this.#frame
    const header = offset - frame.offset
    packet.offset = offset
    packet.length = frame.length - header
    // A damaged record may claim less than it holds.
    packet.originalLength = Math.max(packet.length, frame.originalLength - header)
    packet.timeMs = frame.timeMs
    packet.number = this.packets
    packet.direction = directionOf(frame.linkType, packet.bytes, frame.offset)
  }

  #end(reason: string): void {
    const byte = this.#input.window.position
    this.ending =
      reason === '' ? { kind: 'complete' } : { kind: 'broken', byte, packet: this.packets + 1, reason }
  }
}
