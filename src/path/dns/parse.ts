import { DnsKind, type DnsMessage } from './message.ts'
import * as names from './reverse-name.ts'

// Constants of this module cost compiled code nothing; an import is looked up each time, a function too.
const { isReverseName, readReverseName } = names
const {
  forward: FORWARD,
  reverse: REVERSE,
  other: OTHER,
  malformed: MALFORMED,
  cutShort: CUT_SHORT,
  answer: ANSWER,
} = DnsKind

const HEADER_BYTES = 12

/** With the zero byte at its end (RFC 1035, 2.3.4). */
const MOST_NAME_BYTES = 255
const MOST_LABEL_BYTES = 63

const QUERY = 0
const NOTIFY = 4
const UPDATE = 5

const PTR = 12
const OPT = 41
const IXFR = 251
const AXFR = 252
const ANY = 255

const IN = 1

/**
 * Reads the UDP payload at `bytes[start, end)`. Every loop ends with the name's 255 bytes, whatever is there.
 *
 * @param isCut the sender sent more than this: what is missing at the end is not his fault
 */
export function parseDns(
  message: DnsMessage,
  bytes: Uint8Array,
  start: number,
  end: number,
  isCut: boolean,
): DnsKind {
  message.start = start
  message.questionEnd = 0
  message.family = 0
  message.type = 0
  const kind = readMessage(message, bytes, start, end)
  message.kind = kind === CUT_SHORT && !isCut ? MALFORMED : kind
  return message.kind
}

/** Whether the first question in `bytes[start, end)` is of type PTR: as quickly as it can be told, and no more is. */
export function asksForName(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start + HEADER_BYTES
  while (at < end && bytes[at] !== 0) at += 1 + bytes[at]!
  return at + 2 < end && bytes[at + 2] === PTR
}

/** The kind; `cutShort` where the bytes end too early. */
function readMessage(message: DnsMessage, bytes: Uint8Array, start: number, end: number): DnsKind {
  if (start + HEADER_BYTES > end) return CUT_SHORT
  if (isPlainQuery(bytes, start)) return readQuestion(message, bytes, start + HEADER_BYTES, end)
  const flags = uint16(bytes, start + 2)
  if ((flags & 0x8000) !== 0) {
    // What it answers is told by the question that it repeats.
    if (uint16(bytes, start + 4) === 1) readQuestion(message, bytes, start + HEADER_BYTES, end)
    return ANSWER
  }
  const opcode = (flags >> 11) & 15
  if (opcode !== QUERY) return opcode === NOTIFY || opcode === UPDATE ? OTHER : MALFORMED
  const questions = uint16(bytes, start + 4)
  const answers = uint16(bytes, start + 6)
  const authorities = uint16(bytes, start + 8)
  if (answers !== 0) return MALFORMED
  if (questions !== 1) {
    // One that has only an OPT record asks for a new cookie (RFC 7873, 5.4). More than one never worked
    // and is forbidden (RFC 9619).
    const isForCookie = questions === 0 && authorities === 0 && uint16(bytes, start + 10) === 1
    return isForCookie ? OTHER : MALFORMED
  }
  const kind = readQuestion(message, bytes, start + HEADER_BYTES, end)
  // Only IXFR has a record with its question (RFC 1995, 3).
  if (authorities !== 0 && kind !== CUT_SHORT && message.type !== IXFR) return MALFORMED
  return kind
}

/** Whether the header is that of nearly all: a query with opcode QUERY, one question, no answers and no authorities. */
function isPlainQuery(bytes: Uint8Array, start: number): boolean {
  return (
    ((bytes[start + 2]! & 0xf8) |
      bytes[start + 4]! |
      (bytes[start + 5]! ^ 1) |
      bytes[start + 6]! |
      bytes[start + 7]! |
      bytes[start + 8]! |
      bytes[start + 9]!) ===
    0
  )
}

function readQuestion(message: DnsMessage, bytes: Uint8Array, nameStart: number, end: number): DnsKind {
  const { labelAt } = message
  const nameEnd = nameStart + MOST_NAME_BYTES
  let at = nameStart
  let labels = 0
  for (;;) {
    if (at >= end) return CUT_SHORT
    const length = bytes[at]!
    if (length === 0) break
    // Compression pointers too: the first name of a message has nothing to point at.
    if (length > MOST_LABEL_BYTES || at + length + 2 > nameEnd) return MALFORMED
    labelAt[labels++] = at
    at += 1 + length
  }
  message.labels = labels
  if (at + 5 > end) return CUT_SHORT
  const type = uint16(bytes, at + 1)
  message.type = type
  message.class = uint16(bytes, at + 3)
  // AXFR is for TCP (RFC 5936, 4.2), OPT is no question, and type 0 is reserved (RFC 6895, 3.1).
  if (type === AXFR || type === OPT || type === 0) return MALFORMED
  message.questionEnd = at + 5
  if (type !== PTR && type !== ANY) return FORWARD
  const isInternet = message.class === IN || message.class === ANY
  if (!isInternet || !isReverseName(message, bytes)) return FORWARD
  readReverseName(message, bytes)
  return REVERSE
}

function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}
