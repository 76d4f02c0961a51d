/** What a UDP payload for a DNS service is. The index is what the path and its counters use. */
export const DNS_KINDS = ['forward', 'reverse', 'other', 'malformed', 'cut-short', 'answer'] as const

export const DnsKind = { forward: 0, reverse: 1, other: 2, malformed: 3, cutShort: 4, answer: 5 } as const
export type DnsKind = (typeof DnsKind)[keyof typeof DnsKind]

/** A name has 255 bytes at most, with the zero byte at its end (RFC 1035, 2.3.4): 127 labels. */
const MOST_LABELS = 127

/**
 * One DNS message as far as the path looks at it, filled by `parseDns` and reused for the next. Positions
 * are indices into the bytes it was read from, which stay where they are: nothing is copied.
 */
export class DnsMessage {
  kind: DnsKind = DnsKind.other
  /** Where the header begins. */
  start = 0
  /** Where the only question ends; 0 when there is none that could be read. Its name begins at `start + 12`. */
  questionEnd = 0
  type = 0
  class = 0
  /** Where each label begins, with its length byte; `labels` of them. */
  readonly labelAt = new Int32Array(MOST_LABELS)
  labels = 0
  /** What a reverse name means: the family of its tree, 0 when it is in none. */
  family: 0 | 4 | 6 = 0
  /** Bits that the name spells out: 32 or 128 for a whole address. */
  prefixLength = 0
  /** Those bits, left-aligned in four words; IPv4 has the first only. */
  readonly address = new Uint32Array(4)
  /** Labels in front of the address, such as `_dns-sd`: the name is below it. */
  hasMore = false
}
