import { endianness } from 'node:os'
import type { Family } from '../net/prefix.ts'
import { addon } from './addon.ts'
import { errnoName, NetlinkError } from './netlink-error.ts'

/** `struct Listener` of native/listeners.h: address (16), inode (u32), port (u16), address family, 1 unused. */
const LISTENER_BYTES = 24
const AF_INET = 2
const LITTLE_ENDIAN = endianness() === 'LE'

/** Here they mean something else than for other requests: this one needs no capability. */
const MEANING: Readonly<Record<string, string>> = {
  ENOENT: 'the kernel module tcp_diag is missing',
  EPERM: 'sock_diag is forbidden',
}

/** A TCP socket that listens. */
export interface Listener {
  readonly family: Family
  /** That it is bound to, in network order, 4 or 16 of them; all zero: any address. */
  readonly bytes: Uint8Array
  readonly port: number
  /** No two sockets of the host have the same at one time. */
  readonly inode: number
}

/**
 * Every TCP socket that listens in this network namespace, up to 4,096 of them. The kernel goes through the table of
 * these alone: some 40 us, however many connections there are. Who begins or ends meanwhile may be missing.
 *
 * @throws NetlinkError ENOENT if the kernel has no tcp_diag and cannot load it.
 */
export function listListeners(): Listener[] {
  const listed = addon().tcpListeners()
  if (typeof listed === 'number') {
    const code = errnoName(listed)
    throw new NetlinkError('list listening sockets', code, MEANING[code])
  }
  const view = new DataView(listed.buffer, listed.byteOffset, listed.byteLength)
  return Array.from({ length: listed.byteLength / LISTENER_BYTES }, (_, i) => {
    const at = i * LISTENER_BYTES
    const isIPv4 = listed[at + 22] === AF_INET
    return {
      family: isIPv4 ? 4 : 6,
      bytes: listed.slice(at, at + (isIPv4 ? 4 : 16)),
      port: view.getUint16(at + 20, LITTLE_ENDIAN),
      inode: view.getUint32(at + 16, LITTLE_ENDIAN),
    }
  })
}
