/** One captured frame, filled by a format's `next` and reused for the next. */
export class Frame {
  /** Where the frame lies in the window's bytes, and how many bytes of it were captured. */
  offset = 0
  length = 0
  /** Its length on the wire. */
  originalLength = 0
  /** Unix time; the time of the frame before it when the format gives none (`isTimed` false). */
  timeMs = 0
  isTimed = true
  /** As numbered by https://www.tcpdump.org/linktypes.html */
  linkType = 0
}

/**
 * `frame`: the next frame is found. `more`: the window must be refilled first. `broken`: the capture is
 * damaged here, and nothing after can be trusted.
 */
export type Step = 'frame' | 'more' | 'broken'

/** How a capture format finds the next frame in the window. */
export interface FrameFormat {
  /** Fills `frame` and moves the window's start behind it, unless the step is another than `frame`. */
  next(frame: Frame): Step
  /** After `broken`: why. After `more`: what is wrong if nothing follows; empty where a capture may end. */
  readonly reason: string
}

/** The largest packet that libpcap (MAXIMUM_SNAPLEN) and Wireshark accept. */
export const MAX_PACKET_BYTES = 262_144

export function tooLarge(bytes: number): string {
  return `a packet claims ${bytes} bytes, more than the largest allowed, ${MAX_PACKET_BYTES}`
}

export function cutShort(what: string, bytes: number, of: number): string {
  return `the file ends after ${bytes} of the ${of} bytes of a ${what}`
}
