import { closeSync, openSync, readSync } from 'node:fs'
import { covers, formatPrefix, parsePrefix } from '../../net/prefix.ts'
import { kernelWords } from '../kernel-words.ts'

/** TCP_LISTEN of net/tcp_states.h, as /proc prints it. */
const LISTEN = '0A'

/** Listening sockets come first: more than 400 of them, and not the connections of a busy host. */
const TABLE_MAX = 65_536

const LOOPBACK = ['127.0.0.0/8', '::1'].map(parsePrefix)

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
    const bytes = kernelWords(hex)
    return {
      address: addressOf(bytes),
      port: Number.parseInt(port, 16),
      isLoopback: isLoopback(bytes),
      inode,
    }
  })
}

function addressOf(bytes: Uint8Array): string {
  const isAny = bytes.every((byte) => byte === 0)
  if (bytes.length === 4) return isAny ? '127.0.0.1' : bytes.join('.')
  return isAny ? '::1' : Buffer.from(bytes).toString('hex').match(/.{4}/g)!.join(':')
}

/** An IPv4 address that an IPv6 socket has is one too. */
function isLoopback(bytes: Uint8Array): boolean {
  const prefix = parsePrefix(
    bytes.length === 4 ? bytes.join('.') : formatPrefix({ family: 6, bytes, length: 128 }),
  )
  return LOOPBACK.some((each) => covers(each, prefix))
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
