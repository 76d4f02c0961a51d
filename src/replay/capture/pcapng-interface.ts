/** What an interface description block says of the packets captured there. */
export interface CaptureInterface {
  readonly linkType: number
  /** Bytes kept of each packet; 0 is no limit. */
  readonly snapLength: number
  readonly ticksPerMs: number
  /** To be added to each time. */
  readonly offsetMs: number
}

const END_OF_OPTIONS = 0
const TIME_RESOLUTION = 9
const TIME_OFFSET = 14

/** Reads the interface description block of `length` bytes at `start`; `undefined` when it does not hold together. */
export function readInterface(
  view: DataView,
  start: number,
  length: number,
  isLittle: boolean,
): CaptureInterface | undefined {
  let ticksPerMs = 1e3
  let offsetMs = 0
  const end = start + length - 4
  for (let at = start + 16; at + 4 <= end; ) {
    const code = view.getUint16(at, isLittle)
    const size = view.getUint16(at + 2, isLittle)
    if (code === END_OF_OPTIONS) break
    if (at + 4 + size > end) return undefined
    if (code === TIME_RESOLUTION && size >= 1) ticksPerMs = resolution(view.getUint8(at + 4))
    if (code === TIME_OFFSET && size >= 8) offsetMs = Number(view.getBigInt64(at + 4, isLittle)) * 1000
    at += 4 + ((size + 3) & ~3)
  }
  return {
    linkType: view.getUint16(start + 8, isLittle),
    snapLength: view.getUint32(start + 12, isLittle),
    ticksPerMs,
    offsetMs,
  }
}

/** A negative power of 2 when the highest bit is set, else of 10. */
function resolution(value: number): number {
  return ((value & 0x80) === 0 ? 10 ** value : 2 ** (value & 0x7f)) / 1000
}
