import { isIP } from 'node:net'

/**
 * Addresses of the resolvers that resolv.conf(5) names, without the zone of link-local ones.
 *
 * @param text a file such as /etc/resolv.conf
 */
export function resolvers(text: string): string[] {
  const addresses = text.split('\n').flatMap((line) => {
    const [, address = ''] = /^\s*nameserver\s+([0-9a-fA-F.:]+)/.exec(line) ?? []
    return isIP(address) === 0 ? [] : [address]
  })
  return [...new Set(addresses)]
}
