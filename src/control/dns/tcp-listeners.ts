import { closeSync, openSync, readSync } from 'node:fs'

/** TCP_LISTEN of net/tcp_states.h, as /proc prints it. */
const LISTEN = '0A'

/** Listening sockets come first: more than 400 of them, and not the connections of a busy host. */
const TABLE_MAX = 65_536

/** A socket that takes TCP connections. */
export interface TcpListener {
  /** Where this host reaches it: `127.0.0.1` or `::1` when it listens on all addresses. */
  readonly address: string
  readonly port: number
  /** Whether nobody else reaches it. */
  readonly isLoopback: boolean
  /** Tells it from another one on the same port, before or after it. */
  readonly inode: string
}

/** All of this network namespace. */
export function tcpListeners(): TcpListener[] {
  return ['tcp', 'tcp6'].flatMap((file) => readListeners(read(`/proc/net/${file}`)))
}

/** @param table /proc/net/tcp or /proc/net/tcp6: number, local address:port, remote address:port, state, ... inode */
export function readListeners(table: string): TcpListener[] {
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/)
    const [, hex, port] = /^((?:[0-9A-F]{8}){1,4}):([0-9A-F]{4})$/.exec(local) ?? []
    if (state !== LISTEN || hex === undefined || port === undefined) return []
    return {
      address: addressOf(hex),
      port: Number.parseInt(port, 16),
      isLoopback: /^7F|7F$|^(0{24}01000000|0{31}1)$/.test(hex),
      inode,
    }
  })
}

/** The kernel prints each 32 bits of an address as a number of this machine. */
function addressOf(hex: string): string {
  const isAny = /^0+$/.test(hex)
  const bytes = Buffer.from(hex, 'hex')
  if (bytes.length === 4) return isAny ? '127.0.0.1' : bytes.reverse().join('.')
  return isAny ? '::1' : bytes.swap32().toString('hex').match(/.{4}/g)!.join(':')
}

function read(file: string): string {
  let descriptor: number | undefined
  try {
    descriptor = openSync(file, 'r')
    const bytes = Buffer.alloc(TABLE_MAX)
    let length = 0
    for (;;) {
      // A page at a time is what the kernel gives.
      const count = readSync(descriptor, bytes, length, TABLE_MAX - length, null)
      length += count
      if (count === 0 || length === TABLE_MAX) return bytes.toString('latin1', 0, length)
    }
  } catch {
    // Without IPv6 there is no second table.
    return ''
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}
