import { closeSync, openSync, readSync } from 'node:fs'
import type { Listener } from '../../kernel/listeners.ts'
import { kernelWords } from '../kernel-words.ts'

/** TCP_LISTEN of net/tcp_states.h, as /proc prints it. */
const LISTEN = '0A'

/** Listening sockets come first: more than 400 of them, and not the connections of a busy host. */
const TABLE_MAX = 65_536

/** The TCP sockets of this network namespace that listen, where the kernel does not tell them by sock_diag. */
export function procListeners(): Listener[] {
  return ['tcp', 'tcp6'].flatMap((file) => readListeners(read(`/proc/net/${file}`)))
}

/** @param table /proc/net/tcp or /proc/net/tcp6: number, local address:port, remote address:port, state, ... inode */
export function readListeners(table: string): Listener[] {
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/)
    const [, hex, port] = /^((?:[0-9A-F]{8}){1,4}):([0-9A-F]{4})$/.exec(local) ?? []
    if (state !== LISTEN || hex === undefined || port === undefined) return []
    const bytes = kernelWords(hex)
    return {
      family: bytes.length === 4 ? 4 : 6,
      bytes,
      port: Number.parseInt(port, 16),
      inode: Number(inode),
    }
  })
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
