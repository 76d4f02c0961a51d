import type { Prefix } from '../../net/prefix.ts'

/** What went one way. Bytes are those of whole packets with their IP headers, as conntrack counts them. */
export interface Volume {
  readonly packets: number
  readonly bytes: number
}

/** So often an open session that has succeeded is told of again: whoever stays for days is known good for as long. */
export const SUCCEEDS_AGAIN_MS = 600_000

/** A TCP connection to a service that came to be and is over: all that is known of it without reading it. */
export interface Session {
  /** The client as the limits know it: an IPv4 address or an IPv6 /64. */
  readonly source: Prefix
  /** The client's own address: /32 or /128. */
  readonly address: Prefix
  readonly service: string
  /** From its SYN to when its close was noticed: up to two seconds more than it really took. */
  readonly durationMs: number
  /** Whether its packets have TCP timestamps; `undefined`: its SYN was not seen, so they may have. */
  readonly hasTimestamps: boolean | undefined
  readonly toServer: Volume
  readonly toClient: Volume
  /** Whether it has been told of before, as one that had succeeded and went on. */
  readonly isKnown: boolean
}
