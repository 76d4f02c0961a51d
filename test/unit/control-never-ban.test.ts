import { describe, expect, test } from 'vitest'
import { ALLOW_ORIGINS, type AllowEntry, AllowList } from '../../src/control/allow/allow-list.ts'
import { establishedPeers } from '../../src/control/allow/established-peers.ts'
import { gateways4, gateways6 } from '../../src/control/allow/gateways.ts'
import { hostAddresses } from '../../src/control/allow/host-addresses.ts'
import { resolvers } from '../../src/control/allow/resolvers.ts'
import { groupId } from '../../src/control/requests/unix-group.ts'
import { parsePrefix } from '../../src/net/prefix.ts'

// Files as a little-endian kernel prints them: the only kind of machine that these tests run on.

const ROUTE = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
eth1\t0000A8C0\t010200C0\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0
eth1\t0000000A\tFE0200C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0
`

const ROUTE_6 = `20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
`

const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0A0200C0:0016 076433C6:C350 01 00000000:00000000 02:00000000 00000000     0        0 2 2 0 20 4 30 10 -1
   2: 0A0200C0:0016 086433C6:C351 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
   3: 0A0200C0:01BB 096433C6:C352 01 00000000:00000000 02:00000000 00000000     0        0 4 2 0 20 4 30 10 -1
   4: 0A0200C0:C000 0A6433C6:0016 01 00000000:00000000 02:00000000 00000000     0        0 5 2 0 20 4 30 10 -1
   5: 0A0200C0:08AE 0B6433C6:C353 01 00000000:00000000 02:00000000 00000000     0        0 6 2 0 20 4 30 10 -1
`

const TCP_6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:C350 01 00000000:00000000 02:00000000 00000000     0        0 1 1 0 20 4 30 10 -1
   1: 0000000000000000FFFF00000A0200C0:0016 0000000000000000FFFF0000076433C6:C350 01 00000000:00000000 02:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
`

describe('gateways', () => {
  test('of IPv4 routes, each once', () => {
    expect(gateways4(ROUTE)).toEqual(['192.0.2.1', '192.0.2.254'])
  })

  test('of IPv6 routes, without those that reject', () => {
    expect(gateways6(ROUTE_6)).toEqual(['fe80::1'])
  })

  test.each(['', 'nonsense', 'a\tb\tc\td', '\0\0\0\n\n'])('%j has none', (text) => {
    expect(gateways4(text)).toEqual([])
    expect(gateways6(text)).toEqual([])
  })
})

describe('peers of established sessions', () => {
  const isSsh = (port: number) => port === 22 || port === 2222

  test('on the ports of SSH only, and established only', () => {
    expect(establishedPeers(TCP, isSsh)).toEqual(['198.51.100.7', '198.51.100.11'])
  })

  test('IPv6, and IPv4 mapped into it', () => {
    expect(establishedPeers(TCP_6, isSsh)).toEqual(['2001:db8::2', '198.51.100.7'])
  })

  test.each(['', 'nonsense', '   1: ZZ:0016 00:0000 01 '])('%j has none', (text) => {
    expect(establishedPeers(text, isSsh)).toEqual([])
  })
})

test('resolvers, without zones, comments and nonsense', () => {
  const text = `# nameserver 192.0.2.9
nameserver 192.0.2.53
nameserver\t2001:db8::53
  nameserver fe80::1%eth0
nameserver 192.0.2.53
nameserver 999.1.1.1
nameserver
search example.org`
  expect(resolvers(text)).toEqual(['192.0.2.53', '2001:db8::53', 'fe80::1'])
})

test('own addresses, less those of the loopback networks', () => {
  const common = { netmask: '', mac: '', cidr: null }
  const found = hostAddresses({
    lo: [
      { ...common, address: '127.0.0.1', family: 'IPv4', internal: true },
      { ...common, address: '::1', family: 'IPv6', internal: true, scopeid: 0 },
      { ...common, address: '10.0.0.1', family: 'IPv4', internal: true },
    ],
    eth0: [{ ...common, address: '192.0.2.10', family: 'IPv4', internal: false }],
  })
  expect(found).toEqual([
    { address: '10.0.0.1', interface: 'lo' },
    { address: '192.0.2.10', interface: 'eth0' },
  ])
})

test.each([
  ['sluice', 997],
  ['root', 0],
  ['slui', undefined],
  ['broken', undefined],
])('the number of group %s', (name, id) => {
  expect(groupId('root:x:0:\nsluice:x:997:admin\nbroken:x::\n', name)).toBe(id)
})

describe('the allow list', () => {
  const entry = (text: string, origin: AllowEntry['origin'], reason = text): AllowEntry => ({
    prefix: parsePrefix(text),
    origin,
    reason,
  })

  function list() {
    const allow = new AllowList()
    allow.set('policy', [entry('192.0.2.0/24', 'policy'), entry('2001:db8::/32', 'policy')])
    allow.set('host', [entry('198.51.100.1', 'host'), entry('fd00::1', 'host')])
    return allow
  }

  test.each([
    ['192.0.2.7', '192.0.2.0/24'],
    ['192.0.2.128/25', '192.0.2.0/24'],
    ['192.0.2.0/24', '192.0.2.0/24'],
    ['198.51.100.1', '198.51.100.1'],
    ['2001:db8:1:2::/64', '2001:db8::/32'],
    ['192.0.0.0/16', undefined],
    ['198.51.100.0/24', undefined],
    ['fd00::/64', undefined],
    ['203.0.113.1', undefined],
  ])('%s lies in %s', (text, reason) => {
    expect(list().covering(parsePrefix(text))?.reason).toBe(reason)
  })

  test.each([
    ['192.0.0.0/16', '192.0.2.0/24'],
    ['198.51.100.0/24', '198.51.100.1'],
    ['fd00::/64', 'fd00::1'],
    ['203.0.113.1', undefined],
  ])('%s overlaps %s', (text, reason) => {
    expect(list().overlapping(parsePrefix(text))?.reason).toBe(reason)
  })

  test('the entries of an origin are replaced as a whole', () => {
    const allow = list()
    allow.set('host', [])
    expect(allow.covering(parsePrefix('198.51.100.1'))).toBeUndefined()
    expect(allow.entries(...ALLOW_ORIGINS)).toHaveLength(2)
  })

  test('an address that is on it twice is in the set once, and stays until both are gone', () => {
    const allow = list()
    allow.set('runtime', [entry('198.51.100.1', 'runtime', 'by hand')])
    expect(allow.prefixes()).toHaveLength(4)
    expect(allow.covering(parsePrefix('198.51.100.1'))?.origin).toBe('host')
    allow.set('host', [])
    expect(allow.covering(parsePrefix('198.51.100.1'))?.origin).toBe('runtime')
  })
})
