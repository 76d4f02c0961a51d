import type { HeavyHitters } from '../heavy-hitters.ts'
import type { DnsMessage } from './message.ts'

const IPV4_NETWORK = 24
const IPV6_NETWORK = 48

/** Counts the network whose names `message` asks for: IPv4 /24, IPv6 /48, or what wider prefix it spells out. */
export function countReverseNetwork(networks: HeavyHitters, message: DnsMessage, nowMs: number): void {
  const { family, address } = message
  if (family === 0) return
  const length = Math.min(message.prefixLength, family === 4 ? IPV4_NETWORK : IPV6_NETWORK)
  if (family === 4) networks.count(0, (address[0]! & 0xffffff00) >>> 0, 4, length, nowMs)
  else networks.count(address[0]!, (address[1]! & 0xffff0000) >>> 0, 6, length, nowMs)
}
