import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { buildFaultLibrary } from '../lib/addon-builds.ts'
import { eventually } from '../lib/eventually.ts'
import { compileFlood } from '../lib/flood.ts'
import { MemoryGroup } from '../lib/memory-group.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Scratch } from '../lib/scratch.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen, TcpClient } from '../lib/tcp.ts'

const FAMILIES = [4, 6] as const

const POLICY = `
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 60, rate: 60/s}}
    ban: {strikes: 10, within: 1m}
# Then there is one queue, and faults of a queue's socket strike that.
dns: {induced: off}
`

let faultLibrary: string
let clockLibrary: string
let scratch: Scratch
let scene: Scene
let honest: TcpClient[]

beforeAll(() => {
  faultLibrary = buildFaultLibrary()
  const files = execFileSync('dpkg', ['-L', 'libfaketime'], { encoding: 'utf8' }).split('\n')
  clockLibrary = files.find((file) => file.endsWith('/libfaketimeMT.so.1'))!
  scratch = new Scratch()
  compileFlood(scratch)
})

afterAll(() => scratch.close())

beforeEach(async () => {
  scene = new Scene()
  await listen(scene.server, 22)
  const client = { port: 22, count: 0, everyMs: 50, timeoutMs: 10_000 }
  honest = FAMILIES.map(
    (family) => new TcpClient(scene.client, { ...client, to: SERVER[family], from: HONEST[family] }),
  )
})

afterEach(() => scene.close())

/** Many connections of the attacker, over both families; returns how many came to be. */
async function attack(count = 150, timeoutMs = 500): Promise<number> {
  const attacks = FAMILIES.map((family) =>
    connections(scene.client, {
      to: SERVER[family],
      port: 22,
      from: ATTACKER[family],
      count,
      timeoutMs,
    }),
  )
  const passed = await Promise.all(attacks)
  return passed.reduce((sum, each) => sum + each, 0)
}

/** SYNs from so many forged addresses; resolves when it is over. */
function floodFrom(sources: number, seconds: number, perSecond: number): Promise<unknown> {
  const mac = scene.server.run('cat', '/sys/class/net/eth0/address').trim()
  scene.server.run('ip', 'route', 'add', '100.64.0.0/10', 'via', scene.client.ipv4)
  const amount = [sources, `${seconds}s`, perSecond].map(String)
  return scene.client.attempt(scratch.path('flood'), 'eth0', mac, SERVER[4], 'syn', ...amount)
}

const bansOf = (sluice: Sluice) => sluice.ask({ op: 'bans list' })

async function untilBanned(sluice: Sluice): Promise<void> {
  await eventually('both attackers are banned', async () => (await bansOf(sluice)).length === 2)
}

/** Waits until an honest connection that began after `sinceMs` (Unix) is open, for each family. */
async function expectFlowSince(sinceMs: number): Promise<void> {
  for (const { outcomes } of honest) {
    const next = await eventually('honest traffic flows', () =>
      outcomes.find(({ startedAt, ok }) => ok && startedAt > sinceMs),
    )
    expect(next.startedAt + next.ms - sinceMs).toBeLessThan(1000)
  }
}

/** The kernel's own counters say that every packet has had its verdict. */
async function expectNoPacketLeft(sluice: Sluice): Promise<void> {
  await eventually('no packet waits', async () => (await sluice.status()).queues[0]!.waiting === 0)
  expect((await sluice.status()).queues[0]!.dropped).toBe(0)
}

async function expectNobodyHarmed(): Promise<void> {
  for (const client of honest) {
    await client.close()
    expect(client.outcomes.filter(({ ok }) => !ok)).toEqual([])
  }
}

test('the kernel kills it for its memory: traffic flows, bans hold, and a new start adopts them', async () => {
  const group = new MemoryGroup()
  // A million slots, of which the kernel has given none before they are written to.
  const sluice = await Sluice.start(scene.server, `${POLICY}\nsources: 500000\nmetrics: off\n`)
  await attack()
  await untilBanned(sluice)
  group.add(sluice.process.pid!)
  group.allowMore(4 << 20)
  const flood = floodFrom(400000, 5, 20000)
  expect(await sluice.ended).toBe('SIGKILL')
  await expectFlowSince(Date.now())
  group.remove()
  expect(await attack(3)).toBe(0)
  const successor = await Sluice.start(scene.server, `${POLICY}\nmetrics: off\n`)
  expect(await bansOf(successor)).toHaveLength(2)
  expect(await attack(3)).toBe(0)
  await flood
  await expectNoPacketLeft(successor)
  await expectNobodyHarmed()
})

test('the clock steps by 400 days and back: bans keep their time, and limits go on', async () => {
  const clock = scratch.path('clock')
  writeFileSync(clock, '+0')
  const sluice = await Sluice.start(scene.server, POLICY, {
    env: {
      LD_PRELOAD: clockLibrary,
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1',
    },
  })
  await attack()
  await untilBanned(sluice)
  const before = await bansOf(sluice)
  for (const [step, days] of [
    ['+400d', 400],
    ['-400d', -400],
    ['+0', 0],
  ] as const) {
    const steppedAt = Date.now()
    writeFileSync(clock, step)
    await eventually('it has seen the step', async () => {
      const [ban] = await bansOf(sluice)
      return Math.abs((Date.parse(ban!.since) - Date.parse(before[0]!.since)) / 86_400_000 - days) < 1
    })
    await expectFlowSince(steppedAt)
    const after = await bansOf(sluice)
    for (const [i, { secondsLeft }] of after.entries()) {
      expect(secondsLeft).toBeLessThanOrEqual(before[i]!.secondsLeft!)
      expect(secondsLeft).toBeGreaterThan(before[i]!.secondsLeft! - 60)
    }
    expect(await attack(3)).toBe(0)
  }
  await expectNoPacketLeft(sluice)
  await expectNobodyHarmed()
})

test('the source table is full: the oldest are forgotten and counted, an offender is not', async () => {
  const sluice = await Sluice.start(
    scene.server,
    `
services: {ssh: {ports: [22], limits: {source: {burst: 1000, rate: 1/min}}, ban: {strikes: 10, within: 1m}}}
sources: 1024
holds: off
`,
  )
  // A SYN that is sent again, because this machine is slow, has its price too: there is room for 200.
  for (let i = 0; i < 2; i++) expect(await attack(400, 20_000)).toBe(800)
  const startedAt = Date.now()
  const flood = floodFrom(200000, 4, 5000)
  await expectFlowSince(startedAt)
  // Most of its burst is used up; had the flood washed that out of the table, it would be whole again.
  await attack(400)
  await untilBanned(sluice)
  await flood
  expect(await sluice.metric('sluice_evictions_total{table="sources"}')).toBeGreaterThan(1000)
  expect(await sluice.metric('sluice_tracked_entries{table="sources"}')).toBeLessThanOrEqual(2 * 1024 + 3)
  await expectNoPacketLeft(sluice)
  await expectNobodyHarmed()
})

test('the kernel refuses bans: the sources stay limited, it is counted, and the bans come when it takes them', async () => {
  const sluice = await Sluice.start(scene.server, POLICY, {
    // A ban is tried twice at once, and again every two seconds.
    env: { LD_PRELOAD: faultLibrary, FAULT: 'ban-eio:7' },
  })
  const passed = await attack()
  expect(passed).toBeLessThan(300)
  await eventually('it is counted', async () => (await sluice.metric('sluice_ban_failures_total')) > 0)
  const inKernel = () =>
    FAMILIES.every((family) =>
      /^\S+ timeout/m.test(scene.server.run('ipset', 'list', `sluice-ban-ssh-${family}`)),
    )
  await eventually('the kernel has them', inKernel)
  expect(sluice.output).toContain('is not in the kernel')
  expect(await attack(3)).toBe(0)
  await expectNoPacketLeft(sluice)
  await expectNobodyHarmed()
})

test.each([
  ['recv-enobufs:40', 'enobufs'],
  ['recv-eintr:40', 'interrupted'],
  ['recv-eio:40', 'receive_errors'],
  ['send-enobufs:40', 'verdict_retries'],
  // Each costs its SYN a second, until it is sent again: of so many the clients send within half a second.
  ['recv-short:20', 'truncated'],
])('%s on the queue: every packet gets its verdict, and it is counted', async (fault, event) => {
  const sluice = await Sluice.start(scene.server, POLICY, { env: { LD_PRELOAD: faultLibrary, FAULT: fault } })
  await expectFlowSince(Date.now())
  const counter = `sluice_netlink_events_total{event="${event}"}`
  await eventually('it is counted', async () => (await sluice.metric(counter)) >= 20)
  await expectFlowSince(Date.now())
  await expectNoPacketLeft(sluice)
  await expectNobodyHarmed()
})

test.each([
  ['its queue', 'off', () => knock(2222)],
  ["that of the host's own queries", '{alarm: 1000}', async () => ask()],
])('what goes wrong on %s before the first packet is counted', async (_, induced, send) => {
  // Nobody but this test knocks there.
  const policy = POLICY.replace('[22]', '[2222]').replace('induced: off', `induced: ${induced}`)
  const sluice = await Sluice.start(scene.server, policy, {
    env: { LD_PRELOAD: faultLibrary, FAULT: 'recv-unknown-type:1' },
  })
  const malformed = () => sluice.metric('sluice_netlink_events_total{event="malformed"}')
  expect(await malformed()).toBe(0)
  await send()
  await eventually('it is counted', async () => (await malformed()) === 1)
})

function knock(port: number): Promise<number> {
  return connections(scene.client, { to: SERVER[4], port, from: ATTACKER[4], count: 1, timeoutMs: 300 })
}

/** A datagram to a name server, whatever is in it. */
function ask(): void {
  scene.server.run('bash', '-c', `echo > /dev/udp/${HONEST[4]}/53`)
}
