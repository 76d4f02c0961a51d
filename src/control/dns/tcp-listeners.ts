import { type Listener, listListeners } from '../../kernel/listeners.ts'
import { NetlinkError } from '../../kernel/netlink-error.ts'
import type { Log } from '../log/log.ts'
import { procListeners } from './proc-listeners.ts'

/** For so long a kernel that has refused is not asked again: each time it may start modprobe. */
const AGAIN_MS = 3600_000

const LOOPBACK_6 = Uint8Array.of(...new Array(15).fill(0), 1)
/** ::ffff:127.0.0.0/104 */
const MAPPED_LOOPBACK = Uint8Array.of(...new Array(10).fill(0), 255, 255, 127)

/** A socket that takes TCP connections. */
export interface TcpListener {
  /** Where this host reaches it: `127.0.0.1` or `::1` when it listens on all addresses. */
  readonly address: string
  readonly port: number
  /** Whether nobody else reaches it. */
  readonly isLoopback: boolean
  /** Tells it from another one on the same port, before or after it. */
  readonly inode: number
}

export interface TcpListenersOptions {
  readonly log: Pick<Log, 'info'>
  /** Monotonic milliseconds. */
  readonly now: () => number
  readonly ask?: () => Listener[]
  readonly read?: () => Listener[]
}

/**
 * The listening TCP sockets of this network namespace. The kernel is asked for them; where it has no tcp_diag, because the
 * module is not there or must not be loaded, they are picked out of /proc/net/tcp, for which it goes through all of its
 * connections.
 */
export class TcpListeners {
  readonly #options: TcpListenersOptions
  #againMs = Number.NEGATIVE_INFINITY

  constructor(options: TcpListenersOptions) {
    this.#options = options
  }

  all(): TcpListener[] {
    return this.#list().map(({ bytes, port, inode }) => ({
      address: addressOf(bytes),
      port,
      isLoopback: isLoopback(bytes),
      inode,
    }))
  }

  #list(): Listener[] {
    const { log, now, ask = listListeners, read = procListeners } = this.#options
    if (now() < this.#againMs) return read()
    try {
      return ask()
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error
      this.#againMs = now() + AGAIN_MS
      log.info('listeners', `${error.message}: they are read from /proc/net/tcp, which takes longer`)
      return read()
    }
  }
}

function addressOf(bytes: Uint8Array): string {
  const isAny = bytes.every((byte) => byte === 0)
  if (bytes.length === 4) return isAny ? '127.0.0.1' : bytes.join('.')
  return isAny ? '::1' : Buffer.from(bytes).toString('hex').match(/.{4}/g)!.join(':')
}

/** 127.0.0.0/8, which an IPv6 socket may have too, or ::1. By bytes: there may be thousands, each five seconds. */
function isLoopback(bytes: Uint8Array): boolean {
  if (bytes.length === 4) return bytes[0] === 127
  const begins = (start: Uint8Array) => start.every((byte, i) => byte === bytes[i])
  return begins(LOOPBACK_6) || begins(MAPPED_LOOPBACK)
}
