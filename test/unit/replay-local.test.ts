import { afterAll, describe, expect, test } from 'vitest'
import { policy, service } from '../lib/policies.ts'
import { replayFiles, type Sent, writeCapture } from '../lib/replay.ts'
import { Scratch } from '../lib/scratch.ts'

const scratch = new Scratch()
afterAll(() => scratch.close())

const dns = service('dns', 53, { ports: [{ protocol: 'udp', first: 53, last: 53 }] })
const RULES = policy([service('ssh', 22), service('smtp', 25), dns])

const SERVER = '192.0.2.1'
const RESOLVER = '9.9.9.9'

function logins(count: number, to = SERVER): Sent[] {
  return Array.from({ length: count }, (_, i) => ({ atMs: i, from: `203.0.113.${i % 200}`, to, port: 22 }))
}

function queries(count: number, from: string, to: string): Sent[] {
  return Array.from({ length: count }, (_, i) => ({ atMs: i, from, to, port: 53, protocol: 'udp' }))
}

async function inferred(packets: readonly Sent[]) {
  const { summary } = await replayFiles([writeCapture(scratch.path('a.pcap'), packets)], RULES)
  return { local: summary.local.prefixes, ...summary.local.inferred, judged: summary.traffic.inbound }
}

describe('the local addresses, inferred', () => {
  test('are where the attempts at service ports go', async () => {
    const all = { attempts: 30, inbound: 30, isWhole: true, judged: 30 }
    expect(await inferred(logins(30))).toEqual({ local: [SERVER], ...all })
  })

  test('are not those of the resolver and the mail servers that the host itself asks, however often', async () => {
    const outbound = [
      ...queries(500, SERVER, RESOLVER),
      { atMs: 0, from: SERVER, to: '198.51.100.25', port: 25 },
    ]
    expect(await inferred([...outbound, ...logins(3)])).toMatchObject({
      local: [SERVER],
      attempts: 504,
      inbound: 3,
      judged: 3,
    })
  })

  test('of a host with several are all of them, IPv4 and IPv6', async () => {
    const v6 = { atMs: 0, from: '2001:db8:600d::7', to: '2001:db8::1', port: 22 }
    const { local } = await inferred([...logins(20), ...logins(5, '192.0.2.2'), v6])
    expect(local).toEqual([SERVER, '192.0.2.2', '2001:db8::1'])
  })

  test('are not those of passers-by', async () => {
    const passing = { atMs: 0, from: '198.51.100.1', to: '198.51.100.2', port: 22 }
    expect(await inferred([...logins(200), passing])).toMatchObject({
      local: [SERVER],
      inbound: 200,
      attempts: 201,
    })
  })

  test('in a capture of a client are those of the server it asks', async () => {
    expect(await inferred(queries(10, '198.51.100.1', RESOLVER))).toMatchObject({
      local: [RESOLVER],
      judged: 10,
    })
  })

  test('are unknown where nobody asks for a service', async () => {
    const other = { atMs: 0, from: '203.0.113.1', port: 8080 }
    expect(await inferred([other])).toEqual({ local: [], attempts: 0, inbound: 0, isWhole: true, judged: 0 })
  })

  test('of a long capture come from its first 10,000 attempts, and every attempt is judged', async () => {
    expect(await inferred(logins(12_000))).toMatchObject({
      local: [SERVER],
      attempts: 10_000,
      isWhole: false,
      judged: 12_000,
    })
  })
})

test('given local addresses count instead: a prefix, of either family', async () => {
  const file = writeCapture(scratch.path('b.pcap'), [...logins(3, '192.0.2.9'), ...logins(2, '198.51.100.9')])
  const { summary } = await replayFiles([file], RULES, { local: ['192.0.2.0/24', '::/0'] })
  expect(summary.local).toEqual({ prefixes: ['192.0.2.0/24', '::/0'], inferred: null })
  expect(summary.traffic).toMatchObject({ inbound: 3, notInbound: 2 })
})

test('each packet is looked at for itself, whatever the one before it was', async () => {
  const to = ['0.0.0.0', SERVER, '0.0.0.0', '192.0.2.9', SERVER, '2001:db8::1', '198.51.100.1', '2001:db8::2']
  const packets = to.map((to, i): Sent => {
    const from = to.includes(':') ? '2001:db8:7::7' : '203.0.113.7'
    return { atMs: i, from, to, port: 22, sourcePort: 1000 + i }
  })
  const local = ['192.0.2.0/29', '2001:db8::1']
  const { csv, summary } = await replayFiles([writeCapture(scratch.path('each.pcap'), packets)], RULES, {
    local,
  })
  expect(csv.map((line) => line.split(',').at(-1))).toEqual(['2', '5', '6'])
  expect(summary.traffic).toMatchObject({ inbound: 3, notInbound: 5 })
})
