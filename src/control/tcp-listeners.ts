import { readFileSync } from 'node:fs'

/** TCP_LISTEN of net/tcp_states.h, as /proc prints it. */
const LISTEN = '0A'

/** The ports on which some process of this host, in this network namespace, takes TCP connections from elsewhere. */
export function tcpListeners(): Set<number> {
  return new Set(['tcp', 'tcp6'].flatMap((file) => listeningPorts(read(`/proc/net/${file}`))))
}

/**
 * Ports that are listened on, but for those of loopback alone.
 *
 * @param table /proc/net/tcp or /proc/net/tcp6: number, local address:port, remote address:port, state, ...
 */
export function listeningPorts(table: string): number[] {
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/)
    const [address = '', port = ''] = local.split(':')
    const isLoopback = /^7F|7F$|^(0{24}01000000|0{31}1)$/.test(address) && address !== ''
    return state === LISTEN && !isLoopback ? [Number.parseInt(port, 16)] : []
  })
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // Without IPv6 there is no second table.
    return ''
  }
}
