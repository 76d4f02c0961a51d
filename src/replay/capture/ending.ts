import { EXIT, Failure } from '../../failure.ts'

/** How a capture ended: `byte` is where the damage begins, `packet` the first one that could not be read. */
export type CaptureEnding =
  | { readonly kind: 'complete' }
  | { readonly kind: 'broken'; readonly byte: number; readonly packet: number; readonly reason: string }

/** What the command ends with when a capture was broken, once all that could be read is reported. */
export function brokenCapture(path: string, ending: CaptureEnding & { kind: 'broken' }): Failure {
  const { byte, packet, reason } = ending
  return new Failure(
    EXIT.dataError,
    `${path}: broken at byte ${byte}, packet ${packet}: ${reason}; packets read before: ${packet - 1}`,
  )
}
