import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parsePolicy } from '../../src/config/load.ts'
import type { BanRow } from '../../src/control/requests/rows.ts'
import { eventually } from '../lib/eventually.ts'
import { type Replayed, replayFiles, type Sent, writeCapture } from '../lib/replay.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Scratch } from '../lib/scratch.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen } from '../lib/tcp.ts'
import { Recorder } from '../record/recorder.ts'

// One capture, twice: on the wire to the daemon, and as a file to the replay. What they decide about each
// packet must be the same.

const SEND = new URL('../lib/send-capture.py', import.meta.url).pathname

/** A token a day: while the test runs, bursts alone decide, and the pace of the wire is no matter. */
const POLICY = `
allow: [198.51.100.77, "2001:db8:a110::/48"]
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 4, rate: 1/d}, network: {burst: 14, rate: 1/d}, total: {burst: 60, rate: 1/d}}
    ban: {strikes: 3, within: 10m}
  mail:
    ports: [25, 587]
    limits: {source: {burst: 3, rate: 1/d}, total: {burst: 25, rate: 1/d}}
  dns:
    ports: [53/udp, 53/tcp]
    limits: {source: {burst: 5, rate: 1/d}, network: {burst: 18, rate: 1/d}}
  imap:
    ports: [143]
    mode: shadow
    limits: {source: {burst: 2, rate: 1/d}}
    ban: {strikes: 2, within: 10m}
ban: {allPortsFrom: 1, jitter: 0, proof: none}
`

const SOURCES = [
  ...[1, 2, 3, 4, 5].map((i) => `203.0.113.${i}`),
  '203.0.113.200',
  ...[7, 8, 77].map((i) => `198.51.100.${i}`),
  ...[1, 2, 3].map((i) => `2001:db8:bad:${i}::66`),
  '2001:db8:600d::7',
  '2001:db8:a110::1',
]
/** Another address of one of the sources. */
const ALIAS = '2001:db8:bad:1::67'

/** What each address sends in each round. What can earn a ban comes last. */
const EVERY_ROUND: readonly Partial<Sent>[] = [
  // Nobody's business: another port, an open connection, and flags that conntrack takes for INVALID.
  { port: 8080 },
  { port: 22, tcpFlags: 0x18 },
  { port: 587, tcpFlags: 0x03 },
  { port: 25 },
  // ECN is offered.
  { port: 587, tcpFlags: 0xc2 },
  { port: 53, protocol: 'udp', payload: new Uint8Array(30) },
  { port: 143 },
  { port: 22 },
]

const ROUNDS = 10
const ROUND_MS = 900
/** In a round: first the sources, then the alias, then repeats. A ban needs some 20 ms to reach the kernel. */
const ALIAS_MS = 400
const REPEATS_MS = 600

/**
 * Every attempt has a source port of its own, by which its fate can be told apart; a SYN that is sent again
 * keeps it.
 */
function packets(): Sent[] {
  const addresses = [...SOURCES, ALIAS]
  return Array.from({ length: ROUNDS }, (_, round) => {
    const first = EVERY_ROUND.flatMap((fields, j) =>
      addresses.map((from, i): Sent => {
        const nth = j * addresses.length + i
        const sourcePort = 10_000 + round * 1000 + nth
        const atMs = round * ROUND_MS + nth * 2 + (from === ALIAS ? ALIAS_MS : 0)
        const to = from.includes(':') ? SERVER[6] : SERVER[4]
        return { port: 0, from, to, ...fields, atMs, sourcePort, sequence: sourcePort * 7 }
      }),
    )
    const again = first.filter(
      ({ protocol, from }, i) => protocol !== 'udp' && from !== ALIAS && (i + round) % 4 === 0,
    )
    return [...first, ...again.map((each) => ({ ...each, atMs: each.atMs + REPEATS_MS }))]
  })
    .flat()
    .sort((a, b) => a.atMs - b.atMs)
}

const scratch = new Scratch()
let scene: Scene
let sluice: Sluice
let sent: Sent[]
let replayed: Replayed
let passed: Map<string, number>
let bans: readonly BanRow[]
let counters: Map<string, number>

beforeAll(async () => {
  sent = packets()
  const capture = writeCapture(scratch.path('mixed.pcap'), sent)
  replayed = await replayFiles([capture], parsePolicy(POLICY, 'sluice.yaml'), {
    local: [SERVER[4], SERVER[6]],
  })

  scene = new Scene()
  sluice = await Sluice.start(scene.server, POLICY)
  countByPort()
  await send(scene, capture)
  await eventually('the queue is empty', async () => (await sluice.status()).queues[0]!.waiting === 0)
  passed = readCounts()
  bans = await sluice.ask({ op: 'bans list' })
  counters = await pathCounters(sluice)
})

afterAll(async () => {
  await sluice?.stop()
  scene?.close()
  scratch.close()
})

/** Sends the packets of `capture` from the client, in their own time. */
async function send({ client, server }: Scene, capture: string): Promise<void> {
  const mac = server.run('cat', '/sys/class/net/eth0/address').trim()
  const { status, stderr } = await client.attempt('python3', SEND, capture, 'eth0', mac)
  if (status !== 0) throw new Error(stderr)
}

/** Rules behind ours that count what comes through, by protocol and source port. */
function countByPort(): void {
  const ports = [
    ...new Set(sent.map(({ protocol = 'tcp', sourcePort }) => `-p ${protocol} --sport ${sourcePort}`)),
  ]
  writeFileSync(
    scratch.path('rules'),
    ['*filter', ...ports.map((match) => `-A INPUT ${match}`), 'COMMIT', ''].join('\n'),
  )
  for (const family of ['iptables', 'ip6tables']) {
    scene.server.run('sh', '-c', `${family}-restore --noflush < ${scratch.path('rules')}`)
  }
}

/** Packets that came through, by source port. */
function readCounts(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const family of ['iptables', 'ip6tables']) {
    const saved = scene.server.run(`${family}-save`, '-c', '-t', 'filter')
    for (const [, packets, port] of saved.matchAll(/^\[(\d+):\d+\] -A INPUT .*--sport (\d+)/gm)) {
      counts.set(port!, (counts.get(port!) ?? 0) + Number(packets))
    }
  }
  return counts
}

/** `service verdict reason` of everything that the path has counted. */
async function pathCounters(sluice: Sluice): Promise<Map<string, number>> {
  const metrics = await sluice.http('/metrics')
  const samples = metrics.matchAll(
    /^sluice_packets_total\{service="(.*?)",verdict="(.*?)",reason="(.*?)"\} (\d+)$/gm,
  )
  return new Map(
    [...samples].flatMap(([, service, verdict, reason, value]) =>
      value === '0' ? [] : [[`${service} ${verdict} ${reason}`, Number(value)] as const],
    ),
  )
}

/** The replay's decisions, by `key`. */
function tally(
  key: (cells: { port: string; service: string; verdict: string; reason: string }) => string | undefined,
) {
  const counts = new Map<string, number>()
  for (const line of replayed.csv) {
    const [, , port = '', service = '', , verdict = '', reason = ''] = line.split(',')
    const name = key({ port, service, verdict, reason })
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return counts
}

const sorted = (counts: Map<string, number>) => [...counts].sort(([a], [b]) => (a < b ? -1 : 1))

describe('the same capture, on the wire and as a file', () => {
  test('has something of everything in it', () => {
    const reasons = new Set(tally(({ verdict, reason }) => `${verdict} ${reason}`).keys())
    expect([...reasons].sort()).toEqual([
      'accept allow-list',
      'accept within-limit',
      'drop banned',
      'drop network-limit',
      'drop retransmission',
      'drop source-limit',
      'drop total-limit',
      'shadow retransmission',
      'shadow source-limit',
    ])
    expect(replayed.csv.length).toBeGreaterThan(700)
  })

  test('each packet passes on the wire if and only if the replay accepts it', () => {
    const accepted = tally(({ port, verdict }) => (verdict === 'drop' ? undefined : port))
    const judged = tally(({ port }) => port)
    const differing = [...judged.keys()].filter(
      (port) => (passed.get(port) ?? 0) !== (accepted.get(port) ?? 0),
    )
    const lines = replayed.csv.filter((line) => differing.includes(line.split(',')[2]!))
    expect(lines.map((line) => `${line}: ${passed.get(line.split(',')[2]!) ?? 0} passed`)).toEqual([])
  })

  test('the path gives the same verdicts for the same reasons', () => {
    const isOfSets = (reason: string) => reason === 'banned' || reason === 'allow-list'
    const replays = tally(({ service, verdict, reason }) =>
      isOfSets(reason) ? undefined : `${service} ${verdict} ${reason}`,
    )
    expect(sorted(counters)).toEqual(sorted(replays))
  })

  test('the same sources are banned, from the same ports', () => {
    const row = (source: string, scope: string, mode: string) => `${source} ${scope} ${mode}`
    const daemon = bans.map(({ prefix, scope, mode }) => row(prefix, scope, mode)).sort()
    const replays = replayed.summary.policy.banned
      .map(({ source, scope, mode }) => row(source, scope, mode))
      .sort()
    expect(daemon).toEqual(replays)
    expect(daemon.length).toBeGreaterThan(5)
  })

  test('what the replay does not judge passes on the wire', () => {
    const judged = tally(({ port }) => port)
    const others = sent.filter(({ sourcePort }) => !judged.has(`${sourcePort}`))
    expect(others.length).toBeGreaterThan(200)
    const banned = new Set(replayed.summary.policy.banned.map(({ source }) => source))
    const free = others.filter(({ from }) => !banned.has(from) && !from.includes(':'))
    expect(free.filter(({ sourcePort }) => (passed.get(`${sourcePort}`) ?? 0) === 0)).toEqual([])
  })
})

test.each([
  { what: 'a port that answers', port: 22, judged: 1 },
  { what: 'a port that refuses', port: 25, judged: 2 },
])('a SYN sent twice to $what is judged $judged times by both', async ({ port, judged }) => {
  const scene = new Scene()
  try {
    await listen(scene.server, 22)
    const sluice = await Sluice.start(scene.server, POLICY)
    // Nobody has this address, so nobody resets what he has not asked for.
    const from = '203.0.113.9'
    const syn: Sent = { atMs: 0, from, to: SERVER[4], port, sourcePort: 5555, sequence: 1 }
    const again = { ...syn, atMs: 500 }
    const answer: Sent = { atMs: 1, from: SERVER[4], to: from, port: 5555, sourcePort: port, tcpFlags: 0x12 }
    const answered = port === 22 ? [answer] : []

    await send(scene, writeCapture(scratch.path('syns.pcap'), [syn, again]))
    const seen = [...(await pathCounters(sluice)).values()].reduce((sum, count) => sum + count, 0)
    const capture = writeCapture(scratch.path('both-ways.pcap'), [syn, ...answered, again])
    const { csv } = await replayFiles([capture], parsePolicy(POLICY, 'sluice.yaml'), { local: [SERVER[4]] })
    expect({ daemon: seen, replay: csv.length }).toEqual({ daemon: judged, replay: judged })
    await sluice.stop()
  } finally {
    scene.close()
  }
})

// Real clients and forged ones, seen twice: by the daemon as they come, and by the replay in what tcpdump wrote.
describe('with a proof asked for, the same traffic on the wire and as a file', () => {
  const PROVEN = `
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 6, rate: 1/d}, total: {burst: 500, rate: 1/d}}
    ban: {strikes: 4, within: 10m}
  mail:
    ports: [25]
    mode: shadow
    limits: {source: {burst: 6, rate: 1/d}}
    ban: {strikes: 4, within: 10m}
ban: {jitter: 0}
`
  const FORGED = ['203.0.113.9', '198.51.100.9', '2001:db8:ab5e::9']
  let onWire: readonly BanRow[]
  let unproven: number
  let fromFile: Replayed

  beforeAll(async () => {
    const own = new Scene()
    try {
      for (const port of [22, 25]) await listen(own.server, port)
      const daemon = await Sluice.start(own.server, PROVEN)
      // At the client: the server's own port is a bridge's, behind the rules that refuse.
      const recorder = await Recorder.start(own.client, 'tcp', 128)
      const connect = (from: string, port: number, count: number) =>
        connections(own.client, {
          to: from.includes(':') ? SERVER[6] : SERVER[4],
          port,
          from,
          count,
          timeoutMs: 400,
        })
      for (const family of [4, 6] as const) {
        // Of an attacker's attempts six come to be; an honest user stays within the limit.
        await connect(ATTACKER[family], 22, 14)
        await connect(ATTACKER[family], 25, 14)
        await connect(HONEST[family], 22, 3)
      }
      const syns = FORGED.flatMap((from, nth) =>
        Array.from({ length: 20 }, (_, i): Sent => {
          const sourcePort = 20_000 + nth * 100 + i
          const to = from.includes(':') ? SERVER[6] : SERVER[4]
          return { atMs: i * 5, from, to, port: 22, sourcePort, sequence: sourcePort * 7 }
        }),
      )
      await send(
        own,
        writeCapture(
          scratch.path('forged.pcap'),
          syns.sort((a, b) => a.atMs - b.atMs),
        ),
      )
      const offences = () => daemon.metric('sluice_unproven_promotions_total{service="ssh"}')
      await eventually('all have offended', async () => {
        onWire = await daemon.ask({ op: 'bans list' })
        return onWire.length >= 4 && (await offences()) >= FORGED.length
      })
      const file = scratch.path('proven.pcap')
      writeFileSync(file, await recorder.stop())
      fromFile = await replayFiles([file], parsePolicy(PROVEN, 'p'), { local: [SERVER[4], SERVER[6]] })
      onWire = await daemon.ask({ op: 'bans list' })
      unproven = await offences()
      await daemon.stop()
    } finally {
      own.close()
    }
  }, 120_000)

  test('bans the same sources, and those that are real alone', () => {
    const place = (prefix: string, scope: string, mode: string) => `${prefix} ${scope} ${mode}`
    const wire = onWire.map(({ prefix, scope, mode }) => place(prefix, scope, mode)).sort()
    const file = fromFile.summary.policy.banned.map(({ source, scope, mode }) => place(source, scope, mode))
    expect(file.sort()).toEqual(wire)
    expect(wire).toEqual(
      [
        place(ATTACKER[4], 'ssh', 'enforce'),
        place('2001:db8:bad::/64', 'ssh', 'enforce'),
        place(ATTACKER[4], 'mail', 'shadow'),
        place('2001:db8:bad::/64', 'mail', 'shadow'),
      ].sort(),
    )
  })

  test('and says of the forged ones that they were not proven', () => {
    expect(unproven).toBeGreaterThanOrEqual(FORGED.length)
    expect(fromFile.summary.notes.join('\n')).toMatch(
      /offences? without a ban: these sources complete too few/,
    )
  })
})
