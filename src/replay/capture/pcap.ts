import {
  cutShort,
  type Frame,
  type FrameFormat,
  MAX_PACKET_BYTES,
  type Step,
  tooLarge,
} from './frame-format.ts'
import type { Window } from './window.ts'

export const PCAP_HEADER_BYTES = 24

interface Variant {
  readonly ticksPerMs: number
  readonly recordHeaderBytes: number
}

/** By the magic number in the writer's byte order (libpcap's sf-pcap.c). */
const VARIANTS: ReadonlyMap<number, Variant> = new Map([
  [0xa1b2c3d4, { ticksPerMs: 1e3, recordHeaderBytes: 16 }],
  [0xa1b23c4d, { ticksPerMs: 1e6, recordHeaderBytes: 16 }],
  // Alexey Kuznetzov's patch: interface, protocol and packet type follow the lengths.
  [0xa1b2cd34, { ticksPerMs: 1e3, recordHeaderBytes: 24 }],
])

/** Captures as `tcpdump -w` writes them (draft-ietf-opsawg-pcap). */
export class PcapFormat implements FrameFormat {
  reason = ''
  readonly #window: Window
  readonly #isLittle: boolean
  readonly #variant: Variant
  /** Before version 2.4 the captured length could come second. */
  readonly #isOld: boolean
  readonly #linkType: number

  private constructor(window: Window, isLittle: boolean, variant: Variant, isOld: boolean) {
    this.#window = window
    this.#isLittle = isLittle
    this.#variant = variant
    this.#isOld = isOld
    // Above these bits: whether and how long a checksum follows each frame.
    this.#linkType = window.view.getUint32(window.start + 20, isLittle) & 0x03ffffff
    window.start += PCAP_HEADER_BYTES
  }

  /** Whether the window begins with a magic number of this format. */
  static isAt({ view, start, available }: Window): boolean {
    if (available < 4) return false
    return VARIANTS.has(view.getUint32(start, true)) || VARIANTS.has(view.getUint32(start, false))
  }

  /**
   * Reads the file header, of which the magic number has been seen.
   *
   * @returns the format, or why it cannot be read.
   */
  static begin(window: Window): PcapFormat | string {
    const { view, start, available } = window
    if (available < PCAP_HEADER_BYTES) return cutShort('pcap file header', available, PCAP_HEADER_BYTES)
    const isLittle = VARIANTS.has(view.getUint32(start, true))
    const major = view.getUint16(start + 4, isLittle)
    const minor = view.getUint16(start + 6, isLittle)
    if (major !== 2) return `pcap version ${major}.${minor} is unknown, 2.4 is expected`
    const variant = VARIANTS.get(view.getUint32(start, isLittle))!
    return new PcapFormat(window, isLittle, variant, minor < 4)
  }

  next(frame: Frame): Step {
    const { view, start, end } = this.#window
    const { ticksPerMs, recordHeaderBytes } = this.#variant
    const available = end - start
    if (available < recordHeaderBytes) {
      this.reason = available === 0 ? '' : cutShort('packet record header', available, recordHeaderBytes)
      return 'more'
    }
    const isLittle = this.#isLittle
    const seconds = view.getUint32(start, isLittle)
    const fraction = view.getUint32(start + 4, isLittle)
    const first = view.getUint32(start + 8, isLittle)
    const second = view.getUint32(start + 12, isLittle)
    // No frame has 0 bytes on the wire: this is a hole, left by a crash before the file was written out.
    if (first + second + seconds + fraction === 0) {
      this.reason = 'zeros where a packet record should begin'
      return 'broken'
    }
    const captured = this.#isOld ? Math.min(first, second) : first
    if (captured > MAX_PACKET_BYTES) {
      this.reason = tooLarge(captured)
      return 'broken'
    }
    if (available < recordHeaderBytes + captured) {
      this.reason = cutShort('packet record', available, recordHeaderBytes + captured)
      return 'more'
    }
    frame.timeMs = seconds * 1e3 + fraction / ticksPerMs
    frame.offset = start + recordHeaderBytes
    frame.length = captured
    frame.originalLength = this.#isOld ? Math.max(first, second) : second
    frame.linkType = this.#linkType
    this.#window.start = start + recordHeaderBytes + captured
    return 'frame'
  }
}
