/** When something happened: Unix time as the capture has it, and time since the first packet. */
export interface Moment {
  readonly timeMs: number
  readonly elapsedMs: number
}
