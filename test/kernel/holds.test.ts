import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { eventually } from '../lib/eventually.ts'
import { compileFlood, flood as sendFlood } from '../lib/flood.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Scratch } from '../lib/scratch.ts'
import { PROGRAM, Sluice } from '../lib/sluice.ts'
import { TcpClient } from '../lib/tcp.ts'

/** From here on, 256 to a /24, are the sources of a flood. */
const FIRST = '100.64.0.0'

/** A short queue, so that whatever machine this is cannot keep it empty. */
const policy = (backend: string, mode = 'enforce') => `
mode: ${mode}
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 50, rate: 4/min}, network: {burst: 60, rate: 20/min}}
  dns:
    ports: [53/udp]
    limits: {source: {burst: 100, rate: 10/s}}
queue: {length: 512}
firewall: {backend: ${backend}}
`

const ECHO = `require('net').createServer((s) => s.on('error', () => {}).pipe(s)).listen(22, '::')`

/** Sends a byte ten times a second over one connection, and prints what comes back. */
const CHAT = `
const socket = require('net').connect({ host: '${SERVER[4]}', port: 22, localAddress: '${FIRST}' })
socket.on('error', () => process.exit()).pipe(process.stdout)
setInterval(() => socket.write('x'), 100)`

const FLOOD_6 = `
const socket = require('dgram').createSocket('udp6')
const send = () => {
  for (let i = 0; i < 64; i++) socket.send('x', 53, '${SERVER[6]}')
  setImmediate(send)
}
socket.bind({ address: '${ATTACKER[6]}' }, send)`

let scratch: Scratch
let program: string
let scene: Scene

beforeAll(() => {
  scratch = new Scratch()
  program = compileFlood(scratch)
})

afterAll(() => scratch.close())

beforeEach(() => {
  scene = new Scene()
  scene.client.addAddress(`${FIRST}/32`)
  scene.server.run('ip', 'route', 'add', FIRST, 'via', scene.client.ipv4)
  scene.server.spawn(process.execPath, ['-e', ECHO], { stdio: 'inherit' })
})

afterEach(() => scene.close())

/** Resolves when it is over. */
function flood(kind: 'syn' | 'dns', sources: number, seconds: number): Promise<unknown> {
  return sendFlood(program, scene.client, scene.server, { to: SERVER[4], kind, sources, seconds })
}

/** What the kernel holds off `service` now. */
function held(service: string, family = 4): string[] {
  const listed = scene.server.run('ipset', 'list', `sluice-hold-${service}-${family}`)
  return [...listed.matchAll(/^(\S+) timeout \d+/gm)].map(([, entry]) => entry!)
}

const holdSets = () => scene.server.run('ipset', 'list', '-n').match(/^sluice-hold-.*$/gm) ?? []

describe.each(['nft', 'legacy'] as const)('with iptables-%s', (backend) => {
  const networks = Array.from({ length: 40 }, (_, i) => `100.64.${i}.0/24`)

  test.each<[string, number, string[]]>([
    ['1 source', 1, [FIRST]],
    ['10,000 sources of 40 networks', 10_000, networks],
  ])(
    'a flood from %s is held within a second, and until two seconds behind its end',
    async (_, sources, all) => {
      const sluice = await Sluice.start(scene.server, policy(backend))
      const client = new TcpClient(scene.client, {
        to: SERVER[4],
        port: 22,
        from: HONEST[4],
        count: 0,
        everyMs: 200,
      })
      await eventually('an honest client connects', () => client.outcomes.some(({ ok }) => ok))

      const over = flood('syn', sources, 4)
      await eventually('one is held', () => held('ssh').length > 0, { withinMs: 1000, everyMs: 10 })
      const seen = new Set<string>()
      await eventually('all are held', () => {
        for (const each of held('ssh')) seen.add(each)
        return all.every((each) => seen.has(each))
      })
      expect((await sluice.status()).services[0]!.holds).toBeGreaterThan(0)
      await over
      expect([...seen].filter((each) => !each.startsWith('100.64.'))).toEqual([])

      await sleep(2000)
      expect(held('ssh')).toEqual([])
      await client.close()
      expect(client.outcomes.filter(({ ok }) => !ok)).toEqual([])
      expect(client.outcomes.length).toBeGreaterThan(15)
      await sluice.stop()
    },
  )

  test('an open connection of a source that is held goes on', async () => {
    await Sluice.start(scene.server, policy(backend))
    const chat = scene.client.spawn(process.execPath, ['-e', CHAT], { stdio: ['ignore', 'pipe', 'inherit'] })
    let answers = 0
    chat.stdout!.on('data', (bytes: Buffer) => {
      answers += bytes.length
    })
    await eventually('it is open', () => answers > 0)
    const over = flood('syn', 1, 3)
    await eventually('its source is held', () => held('ssh').includes(FIRST))
    const before = answers
    await eventually('it goes on', () => answers >= before + 10, { withinMs: 2500 })
    expect(held('ssh')).toEqual([FIRST])
    await over
  })

  test('floods of UDP are held, over IPv4 and IPv6', async () => {
    await Sluice.start(scene.server, policy(backend))
    const over = flood('dns', 1, 2)
    await eventually('the IPv4 source is held', () => held('dns').includes(FIRST))
    await over
    scene.client.spawn(process.execPath, ['-e', FLOOD_6], { stdio: 'inherit' })
    await eventually('the IPv6 source is held', () => held('dns', 6).includes('2001:db8:bad::/64'))
  })

  test('in shadow mode holds are counted, and not set', async () => {
    const sluice = await Sluice.start(scene.server, policy(backend, 'shadow'))
    const over = flood('syn', 1, 3)
    await eventually('one is counted', () =>
      sluice.metric('sluice_shadow_holds_total{service="ssh",family="ipv4"}'),
    )
    expect(held('ssh')).toEqual([])
    expect(await sluice.metric('sluice_holds_total{service="ssh",family="ipv4"}')).toBe(0)
    await over
  })

  test('no hold outlives sluice', async () => {
    const stopped = await Sluice.start(scene.server, policy(backend))
    const over = flood('syn', 1, 4)
    await eventually('one is held', () => held('ssh').length > 0)
    expect(await stopped.stop()).toBe(0)
    expect(holdSets()).toEqual([])
    await over

    const killed = await Sluice.start(scene.server, policy(backend))
    const again = flood('syn', 1, 4)
    await eventually('one is held', () => held('ssh').length > 0)
    await killed.stop('SIGKILL')
    await eventually('nobody is held', () => held('ssh').length === 0, { withinMs: 1500 })
    const down = await scene.server.attempt(process.execPath, PROGRAM, 'firewall', 'down', '--keep-bans')
    expect(down.status).toBe(0)
    expect(holdSets()).toEqual([])
    await again
  })
})
