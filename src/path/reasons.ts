/** What becomes of a packet. `shadow`: it would be dropped, and is accepted because its service only watches. */
export const VERDICTS = ['accept', 'drop', 'shadow'] as const
export type VerdictName = (typeof VERDICTS)[number]

export const Verdict = { accept: 0, drop: 1, shadow: 2 } as const
export type Verdict = (typeof Verdict)[keyof typeof Verdict]

/**
 * Why: the closed list. The index is the number that the path and its counters use; name, metric label,
 * replay column and the row in docs/reasons.md all come from here.
 */
export const REASONS = [
  { name: 'within-limit', refuses: false, meaning: 'every limit of the service had a token left' },
  { name: 'no-service', refuses: false, meaning: 'no service of the policy has this protocol and port' },
  { name: 'not-new', refuses: false, meaning: 'TCP, but no SYN that asks for a new connection' },
  { name: 'later-fragment', refuses: false, meaning: 'a fragment behind the first, which carries no ports' },
  { name: 'fault', refuses: false, meaning: 'the decision itself failed; the rest of the batch passed' },
  { name: 'source-limit', refuses: true, meaning: 'the source has used up its own bucket' },
  { name: 'network-limit', refuses: true, meaning: 'the network of the source has used up its bucket' },
  {
    name: 'total-limit',
    refuses: true,
    meaning: 'all strangers together have used up the bucket of the service',
  },
  { name: 'retransmission', refuses: true, meaning: 'a refused SYN sent again; held back, no second strike' },
  {
    name: 'malformed',
    refuses: true,
    meaning: 'lengths or versions contradict each other, or a header is cut off',
  },
  {
    name: 'short-fragment',
    refuses: true,
    meaning: 'a first fragment too short to hold the ports (RFC 1858)',
  },
  {
    name: 'too-many-headers',
    refuses: true,
    meaning: 'more IPv6 extension headers than any honest host sends',
  },
  {
    name: 'known-good',
    refuses: false,
    meaning: 'the source is known good, and its bucket had a token left',
  },
  {
    name: 'known-limit',
    refuses: true,
    meaning: 'the source is known good, and has used up even its larger bucket; no strike',
  },
  {
    name: 'cut-short',
    refuses: false,
    meaning: 'a DNS query of which `queue.copy` or a fragment holds too little to read its name',
  },
  {
    name: 'malformed-query',
    refuses: true,
    meaning: 'no valid DNS query, beyond the few that `dns.malformed` allows',
  },
  {
    name: 'reverse-limit',
    refuses: true,
    meaning: 'reverse DNS queries of the source, its network or all strangers have used up their bucket',
  },
  {
    name: 'sweep',
    refuses: true,
    meaning: 'the source or its network walks through reverse names, beyond what a sweep is allowed',
  },
  {
    name: 'reverse-flood',
    refuses: true,
    meaning: 'a flood of reverse DNS queries reaches the host, and the source is not known to be good',
  },
  {
    name: 'unsolicited-answer',
    refuses: true,
    meaning:
      'an answer from port 53 that nobody here has asked for; no strike against whoever seems to send it',
  },
] as const

export type ReasonName = (typeof REASONS)[number]['name']

/** The index of each reason in `REASONS`. */
export const Reason = {
  withinLimit: 0,
  noService: 1,
  notNew: 2,
  laterFragment: 3,
  fault: 4,
  sourceLimit: 5,
  networkLimit: 6,
  totalLimit: 7,
  retransmission: 8,
  malformed: 9,
  shortFragment: 10,
  tooManyHeaders: 11,
  knownGood: 12,
  knownLimit: 13,
  cutShort: 14,
  malformedQuery: 15,
  reverseLimit: 16,
  sweep: 17,
  reverseFlood: 18,
  unsolicitedAnswer: 19,
} as const
export type Reason = (typeof Reason)[keyof typeof Reason]
