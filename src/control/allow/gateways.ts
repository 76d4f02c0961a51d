import { formatPrefix } from '../../net/prefix.ts'
import { kernelWords } from '../kernel-words.ts'

/** RTF_UP, RTF_GATEWAY and RTF_REJECT of linux/route.h. */
const UP = 0x1
const GATEWAY = 0x2
const REJECT = 0x200

/**
 * Addresses of the routers that IPv4 routes lead through.
 *
 * @param table /proc/net/route: interface, destination, gateway, flags, ...; numbers in hex, addresses as
 * the kernel's `%08X` of a word in network order.
 */
export function gateways4(table: string): string[] {
  const routes = table.split('\n').slice(1)
  return unique(
    routes.flatMap((line) => {
      const [, , gateway = '', flags = '0'] = line.split('\t')
      if (!/^[0-9A-F]{8}$/.test(gateway) || !leadsOn(flags)) return []
      return [formatPrefix({ family: 4, bytes: kernelWords(gateway), length: 32 })]
    }),
  )
}

/**
 * The same for IPv6.
 *
 * @param table /proc/net/ipv6_route: destination, its length, source, its length, next hop, metric,
 * reference count, use, flags, interface; addresses as 32 hex digits in network order.
 */
export function gateways6(table: string): string[] {
  return unique(
    table.split('\n').flatMap((line) => {
      const [, , , , gateway = '', , , , flags = '0'] = line.trim().split(/\s+/)
      if (!/^[0-9a-f]{32}$/.test(gateway) || !leadsOn(flags)) return []
      return [formatPrefix({ family: 6, bytes: Uint8Array.from(Buffer.from(gateway, 'hex')), length: 128 })]
    }),
  )
}

function leadsOn(flags: string): boolean {
  const bits = Number.parseInt(flags, 16)
  return (bits & (UP | GATEWAY | REJECT)) === (UP | GATEWAY)
}

function unique(addresses: string[]): string[] {
  return [...new Set(addresses)]
}
