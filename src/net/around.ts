import { covers, type Prefix } from './prefix.ts'

/**
 * The prefixes that make up `network` without `holes`, which lie in it: the fewest there are. One hole in a
 * /24 leaves eight, a /64 in a /48 sixteen.
 */
export function around(network: Prefix, holes: readonly Prefix[]): Prefix[] {
  const inside = holes.filter((hole) => covers(network, hole))
  if (inside.length === 0) return [network]
  if (inside.some((hole) => hole.length === network.length)) return []
  return halves(network).flatMap((half) => around(half, inside))
}

function halves({ family, bytes, length }: Prefix): Prefix[] {
  const upper = bytes.slice()
  upper[length >> 3]! |= 0x80 >> (length & 7)
  return [
    { family, bytes, length: length + 1 },
    { family, bytes: upper, length: length + 1 },
  ]
}
