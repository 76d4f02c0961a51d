import type { Prefix } from '../../net/prefix.ts'

/** How sure it is that the packets came from the address they carry. `manual`: somebody vouches for it. */
export const PROOFS = ['handshake', 'none', 'manual'] as const
export type Proof = (typeof PROOFS)[number]

/** Who asked for a ban: the path by its strikes, a person, or an earlier run of sluice. */
export const BAN_ORIGINS = ['strikes', 'manual', 'adopted'] as const
export type BanOrigin = (typeof BAN_ORIGINS)[number]

/** A ban that is in force. Times are monotonic milliseconds, so that a step of the clock moves no end. */
export interface Ban {
  readonly prefix: Prefix
  /** The service whose ports it covers, or `ALL_PORTS`. */
  readonly scope: string
  readonly startMs: number
  /** Infinity: an adopted entry that somebody else made without a timeout. */
  readonly endMs: number
  /** The how many-th offence earned it; `undefined` where no count is known. */
  readonly offence: number | undefined
  readonly reason: string
  readonly origin: BanOrigin
  readonly proof: Proof
}
