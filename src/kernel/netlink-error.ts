import { getSystemErrorName } from 'node:util'

/**
 * The kernel refused something. `message` reads `cannot <operation>: <code>`, with what that means here
 * in brackets where the code alone would not tell: `cannot bind queue 7: EBUSY (another process holds it)`.
 * `code` is the errno's name ("EPERM") or the text of an ipset error ("set is full").
 */
export class NetlinkError extends Error {
  readonly code: string
  readonly operation: string

  constructor(operation: string, code: string, meaning = MEANING[code]) {
    super(`cannot ${operation}: ${code}${meaning === undefined ? '' : ` (${meaning})`}`)
    this.name = 'NetlinkError'
    this.code = code
    this.operation = operation
  }
}

/** nfnetlink_rcv() asks for this capability before it looks at a request. */
const MEANING: Readonly<Record<string, string>> = { EPERM: 'CAP_NET_ADMIN is missing' }

/** `EPERM` for 1; `errno 4242` for a number that libuv has no name for. */
export function errnoName(errno: number): string {
  const name = getSystemErrorName(-errno)
  return name.startsWith('Unknown') ? `errno ${errno}` : name
}
