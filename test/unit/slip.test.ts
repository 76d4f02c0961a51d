import { describe, expect, test } from 'vitest'
import { PolicyError, parsePolicy } from '../../src/config/load.ts'
import { proveResolvers } from '../../src/control/dns/follow-slip.ts'
import { Slip } from '../../src/control/dns/slip.ts'
import { readListeners } from '../../src/control/dns/tcp-listeners.ts'
import { pathClockMs } from '../../src/control/threads/path-clock.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { Known, KnownGood } from '../../src/path/known-good.ts'
import { ServiceSlots } from '../../src/path/service-slots.ts'
import { sourceKey } from '../../src/path/source-ring.ts'
import { policy, service } from '../lib/policies.ts'

const dnsOn = (...ports: string[]) =>
  `services: {dns: {ports: [${ports.join(', ')}], limits: {source: {burst: 1, rate: 1/s}}}}\n`

describe('slip', () => {
  test.each<[string, string, number]>([
    ['is on by itself with 53/tcp', dnsOn('53/udp', '53/tcp'), 2],
    ['is off by itself without', dnsOn('53/udp'), 0],
    ['can be switched off', `${dnsOn('53/udp', '53/tcp')}dns: {slip: 0}`, 0],
  ])('%s', (_, text, slip) => {
    expect(parsePolicy(text, 'p').dns.slip).toBe(slip)
  })

  test('is refused where a DNS service has no TCP port to come back to', () => {
    expect(() => parsePolicy(`${dnsOn('53/udp', '5300/udp', '53/tcp')}dns: {slip: 2}`, 'p')).toThrow(
      PolicyError,
    )
    expect(() => parsePolicy(`${dnsOn('53/udp')}dns: {slip: 2}`, 'p')).toThrow(
      'p:2:13: dns.slip: asks clients to come back over TCP, where a DNS service has no port; ' +
        'write 0, or add its ports as /tcp and let the server listen there',
    )
  })
})

test('listeners are read, with where they can be reached', () => {
  const rest = '00000000:00000000 00:00000000 00000000     0        0'
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0035 00000000:0000 0A ${rest} 11 1 0000000000000000 100 0 0 10 0
   1: 3500007F:0036 00000000:0000 0A ${rest} 12 1 0000000000000000 100 0 0 10 0
   2: 0A0002C0:0016 070064C6:9C40 01 ${rest} 13 1 0000000000000000 100 0 0 10 0
   3: 0A0200C0:0016 00000000:0000 0A ${rest} 14 1 0000000000000000 100 0 0 10 0
   4: 00000000000000000000000001000000:0037 00000000000000000000000000000000:0000 0A ${rest} 15 1
   5: 00000000000000000000000000000000:0038 00000000000000000000000000000000:0000 0A ${rest} 16 1
   6: B80D0120000000000000000010000000:0039 00000000000000000000000000000000:0000 0A ${rest} 17 1
`
  expect(readListeners(table)).toEqual([
    { address: '127.0.0.1', port: 0x35, isLoopback: false, inode: '11' },
    { address: '127.0.0.53', port: 0x36, isLoopback: true, inode: '12' },
    { address: '192.0.2.10', port: 0x16, isLoopback: false, inode: '14' },
    { address: '0000:0000:0000:0000:0000:0000:0000:0001', port: 0x37, isLoopback: true, inode: '15' },
    { address: '::1', port: 0x38, isLoopback: false, inode: '16' },
    { address: '2001:0db8:0000:0000:0000:0000:0000:0010', port: 0x39, isLoopback: false, inode: '17' },
  ])
})

test.each([
  ['0100007F', true],
  ['0100007E', false],
  ['000000000000000000000000010000FF', false],
  ['0000000000000000FFFF00000100007F', true],
  ['0000000000000000FFFF00000A0200C0', false],
  // 2001:d7f::10 and 2001:db8::7f00:0 only look like it, in the words of a little-endian machine.
  ['7F0D0120000000000000000010000000', false],
  ['B80D012000000000000000000000007F', false],
])('whether %s is loopback: %s', (hex, isLoopback) => {
  const remote = '0'.repeat(hex.length)
  const table = `   0: ${hex}:0035 ${remote}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 11 1`
  expect(readListeners(table).map((each) => each.isLoopback)).toEqual([isLoopback])
})

describe('who was asked to come back over TCP and does', () => {
  const source = parsePrefix('192.0.2.1')
  const slots = new ServiceSlots()
  slots.update(['ssh', 'dns'])
  const DNS = slots.slotOf('dns')
  const { high, low } = sourceKey(source)
  const view = { family: 4 as const, sourceHigh: high, sourceLow: low }

  function prove(askedAtMs: number | undefined, name: string): Known {
    const known = new KnownGood(KnownGood.create())
    const handedOver = { source, serviceSlot: DNS, detail: 0, atMs: askedAtMs ?? 0 }
    const threads = { known, drainSlipped: () => (askedAtMs === undefined ? [] : [handedOver]) }
    const state = {
      policy: policy([service('ssh', 22), service('dns', 53, { dns: true })]),
      slip: new Slip(),
      slots,
      threads,
    }
    proveResolvers(state, [{ source, service: name }])
    expect(state.slip.proven).toBe(known.size)
    return known.source(view, DNS, pathClockMs())
  }

  test('is known good to the DNS service', () => {
    expect(prove(pathClockMs() - 100, 'dns')).toBe(Known.resolver)
  })

  test.each<[string, number | undefined, string]>([
    ['who was not asked', undefined, 'dns'],
    ['who takes too long', pathClockMs() - 100_000, 'dns'],
    ['who goes to another service', pathClockMs() - 100, 'ssh'],
  ])('but not %s', (_, askedAtMs, name) => {
    expect(prove(askedAtMs, name)).toBe(Known.none)
  })
})
