import { FURTHEST_MS } from './clock-notes.ts'
import {
  cutShort,
  type Frame,
  type FrameFormat,
  MAX_PACKET_BYTES,
  type Step,
  tooLarge,
} from './frame-format.ts'
import { type CaptureInterface, readInterface } from './pcapng-interface.ts'
import type { Window } from './window.ts'

/** Block types of draft-ietf-opsawg-pcapng. */
const SECTION = 0x0a0d0d0a
const INTERFACE = 1
const OBSOLETE_PACKET = 2
const SIMPLE_PACKET = 3
const ENHANCED_PACKET = 6

/** The smallest block of each type that is read; all others are passed over. */
const SMALLEST: ReadonlyMap<number, number> = new Map([
  [SECTION, 28],
  [INTERFACE, 20],
  [OBSOLETE_PACKET, 32],
  [SIMPLE_PACKET, 16],
  [ENHANCED_PACKET, 32],
])

/** Block type, length, and the length again at the end. */
const EMPTY_BLOCK_BYTES = 12
/** The largest packet with all that may be said of it. Must fit into the window. */
const MAX_READ_BYTES = 2 * MAX_PACKET_BYTES
/** Wireshark's limit, for the blocks that are only passed over: names, keys, statistics. */
const MAX_SKIPPED_BYTES = 1 << 24
/** As many as an obsolete packet block can number. Bounds what a hostile file makes us remember. */
const MAX_INTERFACES = 65_536

/** Captures as Wireshark and dumpcap write them (draft-ietf-opsawg-pcapng). */
export class PcapngFormat implements FrameFormat {
  reason = ''
  readonly #window: Window
  #isLittle = true
  #interfaces: CaptureInterface[] = []
  /** Bytes of the present block that are still to be passed over. */
  #skip = 0

  constructor(window: Window) {
    this.#window = window
  }

  /** Whether the window begins with a section header. */
  static isAt({ view, start, available }: Window): boolean {
    return available >= 4 && view.getUint32(start) === SECTION
  }

  next(frame: Frame): Step {
    const window = this.#window
    const view = window.view
    for (;;) {
      if (this.#skip > 0 && !this.#passOver()) return 'more'
      const start = window.start
      const available = window.end - start
      if (available === 0) return this.#more('')
      if (available < EMPTY_BLOCK_BYTES) {
        return this.#more(cutShort('block header', available, EMPTY_BLOCK_BYTES))
      }

      if (view.getUint32(start) === SECTION && !this.#readByteOrder(start)) return 'broken'
      const type = view.getUint32(start, this.#isLittle)
      const length = view.getUint32(start + 4, this.#isLittle)
      const smallest = SMALLEST.get(type)
      if (length < (smallest ?? EMPTY_BLOCK_BYTES) || length % 4 !== 0) {
        return this.#broken(`a block of type ${type} claims the impossible length of ${length} bytes`)
      }
      if (length > (smallest === undefined ? MAX_SKIPPED_BYTES : MAX_READ_BYTES)) {
        return this.#broken(`a block of type ${type} claims ${length} bytes, more than any program writes`)
      }
      if (smallest === undefined) {
        this.#skip = length
        continue
      }
      if (available < length) return this.#more(cutShort('block', available, length))
      if (view.getUint32(start + length - 4, this.#isLittle) !== length) {
        return this.#broken(`a block of ${length} bytes ends with another length`)
      }

      const problem = this.#read(type, start, length, frame)
      if (problem !== undefined) return this.#broken(problem)
      window.start = start + length
      if (type !== SECTION && type !== INTERFACE) return 'frame'
    }
  }

  /** What is wrong with the block, if anything. */
  #read(type: number, start: number, length: number, frame: Frame): string | undefined {
    switch (type) {
      case SECTION:
        return this.#readSection(start)
      case INTERFACE:
        return this.#readInterface(start, length)
      case SIMPLE_PACKET:
        return this.#readSimplePacket(start, length, frame)
      default:
        return this.#readPacket(type, start, length, frame)
    }
  }

  /** A section's byte order must be known before the length of its header can be. */
  #readByteOrder(start: number): boolean {
    const magic = this.#window.view.getUint32(start + 8, true)
    this.#isLittle = magic === 0x1a2b3c4d
    if (this.#isLittle || magic === 0x4d3c2b1a) return true
    this.reason = 'a section header has no byte-order mark'
    return false
  }

  #readSection(start: number): string | undefined {
    const major = this.#window.view.getUint16(start + 12, this.#isLittle)
    const minor = this.#window.view.getUint16(start + 14, this.#isLittle)
    // 1.2 is written by some programs and means the same (the draft, section 4.1).
    if (major !== 1 || (minor !== 0 && minor !== 2)) {
      return `pcapng version ${major}.${minor} is unknown, 1.0 is expected`
    }
    this.#interfaces = []
    return undefined
  }

  #readInterface(start: number, length: number): string | undefined {
    if (this.#interfaces.length === MAX_INTERFACES) return `more than ${MAX_INTERFACES} interfaces`
    const found = readInterface(this.#window.view, start, length, this.#isLittle)
    if (found === undefined) return 'an option runs past the end of its interface description'
    this.#interfaces.push(found)
    return undefined
  }

  #readPacket(type: number, start: number, length: number, frame: Frame): string | undefined {
    const view = this.#window.view
    const isLittle = this.#isLittle
    const number =
      type === ENHANCED_PACKET ? view.getUint32(start + 8, isLittle) : view.getUint16(start + 8, isLittle)
    const from = this.#interfaces[number]
    if (from === undefined) return `a packet of interface ${number}, which is not described before`
    const ticks = view.getUint32(start + 12, isLittle) * 2 ** 32 + view.getUint32(start + 16, isLittle)
    const timeMs = ticks / from.ticksPerMs + from.offsetMs
    // Beyond that, milliseconds are no longer told apart either.
    frame.timeMs = Math.max(-FURTHEST_MS, Math.min(FURTHEST_MS, timeMs))
    frame.isTimed = true
    frame.originalLength = view.getUint32(start + 24, isLittle)
    return setData(frame, from, start + 28, view.getUint32(start + 20, isLittle), start + length - 4)
  }

  /** It has neither time nor interface: it belongs to the first, and `frame` keeps the time before. */
  #readSimplePacket(start: number, length: number, frame: Frame): string | undefined {
    const from = this.#interfaces[0]
    if (from === undefined) return 'a packet of interface 0, which is not described before'
    const original = this.#window.view.getUint32(start + 8, this.#isLittle)
    frame.isTimed = false
    frame.originalLength = original
    const captured = from.snapLength === 0 ? original : Math.min(original, from.snapLength)
    return setData(frame, from, start + 12, captured, start + length - 4)
  }

  /** Drops what is left of a block that is not read; `false` when more of it must come first. */
  #passOver(): boolean {
    const count = Math.min(this.#skip, this.#window.available)
    this.#window.start += count
    this.#skip -= count
    this.reason = `the file ends ${this.#skip} bytes before the end of a block`
    return this.#skip === 0
  }

  #more(reason: string): Step {
    this.reason = reason
    return 'more'
  }

  #broken(reason: string): Step {
    this.reason = reason
    return 'broken'
  }
}

function setData(
  frame: Frame,
  from: CaptureInterface,
  offset: number,
  captured: number,
  end: number,
): string | undefined {
  if (captured > MAX_PACKET_BYTES) return tooLarge(captured)
  if (offset + captured > end) return `a packet of ${captured} bytes in a block that holds ${end - offset}`
  frame.linkType = from.linkType
  frame.offset = offset
  frame.length = captured
  return undefined
}
