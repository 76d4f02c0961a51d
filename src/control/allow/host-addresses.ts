import { networkInterfaces } from 'node:os'

/** The host's own addresses, each with its interface, less those of the loopback networks. */
export function hostAddresses(
  interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces(),
): { address: string; interface: string }[] {
  return Object.entries(interfaces).flatMap(([name, addresses = []]) =>
    addresses
      .filter(({ address }) => address !== '::1' && !address.startsWith('127.'))
      .map(({ address }) => ({ address, interface: name })),
  )
}
