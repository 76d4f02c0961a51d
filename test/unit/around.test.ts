import { describe, expect, test } from 'vitest'
import { around } from '../../src/net/around.ts'
import { covers, formatPrefix, overlaps, parsePrefix } from '../../src/net/prefix.ts'

const text = (network: string, ...holes: string[]) =>
  around(parsePrefix(network), holes.map(parsePrefix)).map(formatPrefix)

describe('a network around holes', () => {
  test.each<[string, string[], string[]]>([
    ['192.0.2.0/24', [], ['192.0.2.0/24']],
    ['192.0.2.0/24', ['198.51.100.1'], ['192.0.2.0/24']],
    ['192.0.2.0/30', ['192.0.2.1'], ['192.0.2.0', '192.0.2.2/31']],
    ['192.0.2.0/30', ['192.0.2.1', '192.0.2.2'], ['192.0.2.0', '192.0.2.3']],
    ['192.0.2.0/30', ['192.0.2.1', '192.0.2.0/30'], []],
    ['2001:db8::/62', ['2001:db8:0:1::/64'], ['2001:db8::/64', '2001:db8:0:2::/63']],
  ])('%s without %j', (network, holes, parts) => {
    expect(text(network, ...holes)).toEqual(parts)
  })

  test('holds every address but the holes, each once', () => {
    const [network, holes] = [parsePrefix('192.0.2.0/24'), ['192.0.2.7', '192.0.2.64/28'].map(parsePrefix)]
    const parts = around(network, holes)
    for (let i = 0; i < 256; i++) {
      const address = parsePrefix(`192.0.2.${i}`)
      const isHole = holes.some((hole) => overlaps(hole, address))
      expect(parts.filter((part) => covers(part, address))).toHaveLength(isHole ? 0 : 1)
    }
  })
})
