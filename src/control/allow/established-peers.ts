import { formatPrefix, type Prefix, parsePrefix } from '../../net/prefix.ts'
import { kernelWords } from '../kernel-words.ts'

/** TCP_ESTABLISHED of net/tcp_states.h, as /proc prints it. */
const ESTABLISHED = '01'

/**
 * Addresses at the far end of connections that are established to one of this host's `ports`.
 *
 * @param table /proc/net/tcp or /proc/net/tcp6: number, local address:port, remote address:port, state,
 * ...; addresses as the kernel's `%08X` words, IPv4 ones mapped into IPv6 where a v6 socket took them.
 */
export function establishedPeers(table: string, ports: (port: number) => boolean): string[] {
  const peers = table.split('\n').flatMap((line) => {
    const match = /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) ((?:[0-9A-F]{8}){1,4}):[0-9A-F]{4} ([0-9A-F]{2}) /.exec(
      line,
    )
    if (match === null) return []
    const [, localPort = '', remote = '', state = ''] = match
    if (state !== ESTABLISHED || !ports(Number.parseInt(localPort, 16))) return []
    return [formatPrefix(toPrefix(kernelWords(remote)))]
  })
  return [...new Set(peers)]
}

function toPrefix(bytes: Uint8Array): Prefix {
  if (bytes.length === 4) return { family: 4, bytes, length: 32 }
  // parsePrefix turns a mapped address into the IPv4 one that its packets carry.
  return parsePrefix(formatPrefix({ family: 6, bytes, length: 128 }))
}
