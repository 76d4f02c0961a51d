import { DnsKind, type DnsMessage } from './message.ts'

/** What an unsolicited answer answers, by the type of its question. `not-dns`: it is no DNS message. */
export const ANSWER_KINDS = ['a', 'aaaa', 'ptr', 'any', 'txt', 'dnskey', 'rrsig', 'other', 'not-dns'] as const

/** Types of RFC 1035, 3596 and 4034, in the order of ANSWER_KINDS. */
const TYPES = [1, 28, 12, 255, 16, 48, 46]
const OTHER = TYPES.length
const NOT_DNS = OTHER + 1

/** The index in ANSWER_KINDS of a message that has been parsed. */
export function answerKind(message: DnsMessage): number {
  if (message.kind !== DnsKind.answer) return NOT_DNS
  const at = TYPES.indexOf(message.type)
  return at < 0 ? OTHER : at
}
