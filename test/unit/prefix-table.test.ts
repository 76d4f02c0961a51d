import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addressBits,
  covers,
  type Family,
  formatPrefix,
  type Prefix,
  parsePrefix,
  widen,
} from '../../src/net/prefix.ts'
import { PrefixTable } from '../../src/net/prefix-table.ts'

function table(...prefixes: string[]): PrefixTable<string> {
  const table = new PrefixTable<string>()
  for (const text of prefixes) table.set(parsePrefix(text), text)
  return table
}

describe('a table of prefixes', () => {
  test.each([
    ['192.0.2.0/24', '192.0.2.255', true],
    ['192.0.2.0/24', '192.0.3.0', false],
    ['128.0.0.0/1', '255.255.255.255', true],
    ['0.0.0.0/0', '1.2.3.4', true],
    ['0.0.0.0/0', '::1', false],
    ['2001:db8::/64', '2001:db8::ffff:1', true],
    ['2001:db8::/64', '2001:db8:0:1::', false],
    ['2001:db8::1', '2001:db8::1', true],
    ['2001:db8::/33', '2001:db8:7fff::', true],
    ['2001:db8::/33', '2001:db8:8000::', false],
  ])('%s matches %s: %s', (prefix, address, expected) => {
    const { family, bytes } = parsePrefix(address)
    // The address is somewhere in a packet.
    const packet = Uint8Array.from([9, 9, 9, ...bytes, 9])
    expect(table(prefix).some(family, packet, 3)).toBe(expected)
  })

  test('one that covers the address and does not count leaves the others their say', () => {
    const { bytes } = parsePrefix('192.0.2.1')
    const both = table('192.0.2.1', '192.0.2.0/24')
    expect(both.some(4, bytes, 0, (value) => value === '192.0.2.0/24')).toBe(true)
    expect(both.some(4, bytes, 0, (value) => value === '192.0.0.0/16')).toBe(false)
  })

  test('what is set twice is there once, and what is deleted is gone', () => {
    const some = table('192.0.2.1', '192.0.2.1', '192.0.2.0/24', '::1')
    expect(some.size).toBe(3)
    expect(some.delete(parsePrefix('192.0.2.1'))).toBe(true)
    expect(some.delete(parsePrefix('192.0.2.1'))).toBe(false)
    expect(some.get(parsePrefix('192.0.2.1'))).toBeUndefined()
    expect([...some.values()].sort()).toEqual(['192.0.2.0/24', '::1'])
    expect(some.size).toBe(2)
  })

  test('of several that begin alike, those that are left are still found', () => {
    const some = table('128.0.0.0/1', '192.0.2.1', '192.0.2.2', '192.0.2.2')
    const has = (address: string) => some.some(4, parsePrefix(address).bytes, 0)
    some.delete(parsePrefix('192.0.2.1'))
    some.delete(parsePrefix('128.0.0.0/1'))
    expect(['192.0.2.1', '192.0.2.2', '200.0.0.1'].map(has)).toEqual([false, true, false])
    some.delete(parsePrefix('192.0.2.2'))
    expect(has('192.0.2.2')).toBe(false)
    some.set(parsePrefix('200.0.0.0/5'), '')
    expect(['199.9.9.9', '200.0.0.1', '207.9.9.9', '208.0.0.1'].map(has)).toEqual([false, true, true, false])
  })

  const prefixOf = (family: Family): fc.Arbitrary<Prefix> =>
    fc
      .tuple(
        // Few bits differ, so that prefixes often cover each other.
        fc.array(fc.constantFrom(0, 1, 128, 255), {
          minLength: addressBits(family) / 8,
          maxLength: addressBits(family) / 8,
        }),
        fc.integer({ min: 0, max: addressBits(family) }),
      )
      .map(([bytes, length]) =>
        widen({ family, bytes: Uint8Array.from(bytes), length: addressBits(family) }, length),
      )

  test.each([4, 6] as const)('says what a walk through all prefixes says (IPv%i)', (family) => {
    fc.assert(
      fc.property(fc.array(prefixOf(family), { maxLength: 12 }), prefixOf(family), (prefixes, other) => {
        const address: Prefix = { ...other, length: addressBits(family) }
        const filled = table(...prefixes.map(formatPrefix))
        const expected = prefixes.some((prefix) => covers(prefix, address))
        return filled.some(family, address.bytes, 0) === expected
      }),
    )
  })
})
