/** Where a connection stands, as conntrack has it (enum tcp_conntrack, linux/netfilter/nf_conntrack_tcp.h). */
export const TcpState = {
  none: 0,
  synSent: 1,
  synReceived: 2,
  established: 3,
  finWait: 4,
  closeWait: 5,
  lastAck: 6,
  timeWait: 7,
  closed: 8,
} as const

/** The packet changes nothing and is not counted: ignored or invalid. */
export const UNCOUNTED = 255

const SYN = 0x02
const FIN = 0x01
const RST = 0x04
const ACK = 0x10

const X = UNCOUNTED

// tcp_conntracks in net/netfilter/nf_conntrack_proto_tcp.c, by kind of packet and then by state. Simultaneous
// open (sS2) is left out: a server does not do it.
const FROM_CLIENT = [
  // NO SS SR ES FW CW LA TW CL
  [1, 1, X, X, X, X, X, 1, 1], // SYN
  [X, X, 2, X, X, X, X, X, X], // SYN-ACK
  [X, X, 4, 4, 6, 6, 6, 7, 8], // FIN
  [X, X, 3, 3, 5, 5, 7, 7, 8], // ACK
  [X, 8, 8, 8, 8, 8, 8, 8, 8], // RST
] as const
const FROM_SERVER = [
  [X, X, X, X, X, X, X, X, X],
  [X, 2, X, X, X, X, X, X, X],
  [X, X, 4, 4, 6, 6, 6, 7, 8],
  [X, X, 2, 3, 5, 5, 7, 7, 8],
  [X, 8, 8, 8, 8, 8, 8, 8, 8],
] as const

const STATES = 9
const TABLES = [FROM_CLIENT, FROM_SERVER].map((table) => Uint8Array.from(table.flat()))

/**
 * The state that a packet with `flags` leads to, or `UNCOUNTED`. Whether its sequence number is within the
 * window is not asked, which conntrack does: a forged reset counts here, and not there.
 */
export function nextState(state: number, isFromServer: boolean, flags: number): number {
  const kind = kindOf(flags)
  return kind < 0 ? UNCOUNTED : TABLES[isFromServer ? 1 : 0]![kind * STATES + state]!
}

/** get_conntrack_index */
function kindOf(flags: number): number {
  if (flags & RST) return 4
  if (flags & SYN) return flags & ACK ? 1 : 0
  if (flags & FIN) return 2
  return flags & ACK ? 3 : -1
}

/** After so long without a packet a connection is over: net.netfilter.nf_conntrack_tcp_timeout_*, by state. */
export const TIMEOUTS_MS = Float64Array.from([0, 120, 60, 432_000, 120, 60, 30, 120, 10], (s) => s * 1000)
