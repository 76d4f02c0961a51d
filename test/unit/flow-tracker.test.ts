import { beforeEach, describe, expect, test } from 'vitest'
import { formatPrefix } from '../../src/net/prefix.ts'
import { decode } from '../../src/path/decode.ts'
import { Attempt } from '../../src/replay/attempt.ts'
import { FlowTable } from '../../src/replay/flows/flow-table.ts'
import { type Flow, FlowTracker } from '../../src/replay/flows/flow-tracker.ts'
import { type PacketFields, packet } from '../lib/packets.ts'

const FIN = 0x11
const SYN = 0x02
const RST = 0x04
const ACK = 0x10
const SYN_ACK = 0x12

const CLIENT = '198.51.100.7'
const SERVER = '192.0.2.10'
const HEADERS = 40

type Step = readonly [who: 'client' | 'server', flags: number, payload?: number, options?: readonly number[]]

const OPEN: readonly Step[] = [
  ['client', SYN],
  ['server', SYN_ACK],
  ['client', ACK],
]
const CLOSE: readonly Step[] = [
  ['client', FIN],
  ['server', FIN],
  ['client', ACK],
]

let nowMs: number
let assured: Flow[]
let closed: Flow[]
let looks: [packets: number, atMs: number][]
let succeedsFrom: number
let tracker: FlowTracker
const attempt = new Attempt()

function track(most?: number): void {
  nowMs = 1000
  assured = []
  closed = []
  looks = []
  succeedsFrom = Number.POSITIVE_INFINITY
  tracker = new FlowTracker(
    {
      assured: (flow) => assured.push(flow),
      goesOn: (flow, atMs) => {
        looks.push([flow.toServer.packets, atMs])
        return succeedsFrom <= flow.toServer.packets ? flow.passedBy : 0
      },
      closed: (flow) => closed.push(flow),
    },
    most,
  )
}

beforeEach(() => track())

/** Packets of one connection, one each millisecond. */
function send(steps: readonly Step[], ends: { client?: string; server?: string; port?: number } = {}): void {
  const { client = CLIENT, server = SERVER, port = 40_000 } = ends
  for (const [who, tcpFlags, payload = 0, options = []] of steps) {
    nowMs++
    const fields: Partial<PacketFields> = { tcpFlags, options, payload: new Uint8Array(payload) }
    const bytes =
      who === 'client'
        ? packet({ ...fields, from: client, to: server, sourcePort: port, port: 22 })
        : packet({ ...fields, from: server, to: client, sourcePort: 22, port })
    Object.assign(attempt, { bytes, offset: 0, length: bytes.length, nowMs })
    decode(attempt.view, bytes, 0, bytes.length)
    tracker.tick(nowMs)
    if (tcpFlags === SYN) tracker.open(attempt, 1)
    else tracker.follow(attempt, who === 'server')
  }
}

function wait(ms: number): void {
  nowMs += ms
  tracker.tick(nowMs)
}

describe('a connection', () => {
  test('is assured by the third packet of its handshake, and not before', () => {
    send(OPEN.slice(0, 2))
    expect(assured).toEqual([])
    send(OPEN.slice(2))
    expect(assured.map(({ address }) => formatPrefix(address))).toEqual([CLIENT])
    send([['client', ACK]])
    expect(assured.length).toBe(1)
  })

  test.each([
    ['a SYN', [['client', SYN]]],
    [
      'a SYN-ACK that was never asked for',
      [
        ['server', SYN_ACK],
        ['client', ACK],
      ],
    ],
    [
      'an ACK that answers no SYN-ACK',
      [
        ['client', SYN],
        ['client', ACK],
      ],
    ],
    [
      'a refusal',
      [
        ['client', SYN],
        ['server', RST],
      ],
    ],
    [
      'a handshake that the client resets',
      [
        ['client', SYN],
        ['server', SYN_ACK],
        ['client', RST],
      ],
    ],
  ] satisfies [string, Step[]][])('is not proven by %s', (_, steps) => {
    send(steps)
    tracker.finish(nowMs + 1e9)
    expect([assured, closed]).toEqual([[], []])
  })

  const TIMESTAMPS = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0]
  test.each<[string, readonly number[], readonly number[], boolean | undefined]>([
    ['both have them', TIMESTAMPS, TIMESTAMPS, true],
    ['the client has none', [], TIMESTAMPS, false],
    ['the server has none', TIMESTAMPS, [], false],
  ])('has TCP timestamps if both sides do: %s', (_, ofClient, ofServer, expected) => {
    send([['client', SYN, 0, ofClient], ['server', SYN_ACK, 0, ofServer], ...OPEN.slice(2), ...CLOSE])
    wait(1000)
    expect(closed).toMatchObject([{ hasTimestamps: expected }])
  })

  test('counts packets and bytes with their IP headers, each way', () => {
    send([...OPEN, ['client', ACK, 100], ['server', ACK, 1000], ['server', ACK, 500], ...CLOSE])
    wait(1000)
    expect(closed).toEqual([
      expect.objectContaining({
        startMs: 1001,
        lastMs: 1009,
        serverPort: 22,
        clientPort: 40_000,
        toServer: { packets: 5, bytes: 5 * HEADERS + 100 },
        toClient: { packets: 4, bytes: 4 * HEADERS + 1500 },
      }),
    ])
  })

  test('is over a second after its end, so that late packets are counted', () => {
    send([...OPEN, ...CLOSE])
    wait(998)
    expect(closed).toEqual([])
    send([['client', ACK]])
    wait(1)
    expect(closed.map(({ toServer }) => toServer.packets)).toEqual([5])
  })

  test('is over by a reset', () => {
    send([...OPEN, ['server', RST]])
    wait(1000)
    expect(closed.length).toBe(1)
  })

  test('does not count what conntrack ignores: a SYN-ACK sent again, a SYN within', () => {
    send([
      ['client', SYN],
      ['server', SYN_ACK],
      ['server', SYN_ACK],
      ['client', ACK],
      ['client', SYN],
      ...CLOSE,
    ])
    wait(1000)
    expect(closed[0]).toMatchObject({ toServer: { packets: 4 }, toClient: { packets: 2 } })
  })

  test('that only one side has closed is over after two minutes of silence', () => {
    send([...OPEN, ['server', FIN]])
    for (let second = 0; second < 119; second++) wait(1000)
    expect(closed).toEqual([])
    for (let second = 0; second < 600; second++) wait(1000)
    expect(closed.length).toBe(1)
  })

  test('that is open is looked at a second after its packets, until it is known to have succeeded, and each ten minutes', () => {
    succeedsFrom = 5
    send(OPEN)
    const assuredMs = nowMs
    wait(999)
    expect(looks).toEqual([])
    wait(1)
    expect(looks).toEqual([[2, assuredMs + 1000]])
    wait(60_000)
    expect(looks.length).toBe(1)
    send([...Array<Step>(3).fill(['client', ACK, 10])])
    wait(5000)
    expect(looks.at(-1)).toEqual([5, nowMs - 5000 - 2 + 1000])
    const known = looks.length
    for (let minute = 0; minute < 8; minute++) {
      send([['client', ACK, 10]])
      wait(60_000)
    }
    expect(looks.length).toBe(known)
    wait(60_000)
    send([['client', ACK, 10]])
    wait(1000)
    expect(looks.length).toBe(known + 1)
    send(CLOSE)
    wait(5000)
    expect([looks.length, closed.length]).toEqual([known + 1, 1])
    expect(closed[0]!.succeededBy).toBe(1)
  })

  test('that is open stays open', () => {
    send(OPEN)
    wait(3_600_000)
    tracker.finish(nowMs)
    expect(closed).toEqual([])
  })

  test('on the ports of one before is another one', () => {
    send([...OPEN, ['client', ACK, 10], ...CLOSE, ...OPEN, ['client', ACK, 20], ...CLOSE])
    wait(1000)
    expect(closed.map(({ toServer }) => toServer.bytes)).toEqual([5 * HEADERS + 10, 5 * HEADERS + 20])
  })

  test('over IPv6 is told by its whole addresses', () => {
    const server = '2001:db8:1::10'
    send(OPEN, { client: '2001:db8::1', server })
    send([...OPEN, ...CLOSE], { client: '2001:db8::2', server })
    wait(1000)
    expect(closed.map(({ address, toServer }) => [formatPrefix(address), toServer])).toEqual([
      ['2001:db8::2', { packets: 4, bytes: 4 * 60 }],
    ])
  })
})

test('connections at the same time are counted apart', () => {
  const ports = Array.from({ length: 200 }, (_, i) => 20_000 + i)
  for (const step of [...OPEN, ['client', ACK, 1000] as const, ...CLOSE]) {
    for (const port of ports) send([step], { port })
  }
  wait(2000)
  expect(closed.map(({ clientPort }) => clientPort)).toEqual(ports)
  expect(new Set(closed.map(({ toServer }) => toServer.bytes))).toEqual(new Set([5 * HEADERS + 1000]))
})

test('its records have no gaps: two for each connection that is to fit', () => {
  expect(new FlowTable(3000).slots).toBe(6000)
})

test('its memory is bounded: who is forgotten is counted, and those that never came to be go first', () => {
  track(64)
  send(OPEN, { port: 1 })
  for (let port = 10; port < 1010; port++) send([['client', SYN]], { port })
  expect(tracker.forgotten).toBeGreaterThan(800)
  send(CLOSE, { port: 1 })
  wait(1000)
  expect(closed.length).toBe(1)
})
