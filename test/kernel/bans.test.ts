import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { eventually } from '../lib/eventually.ts'
import type { Host } from '../lib/lab.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { Sshd } from '../lib/sshd.ts'
import { connections, listen } from '../lib/tcp.ts'

const GATEWAY = { 4: '10.77.0.2', 6: 'fd77::2' } as const

const ADMINISTRATOR = '100.64.0.7'

/** Connects to port 22 of the server from an address of `client`, and stays. */
function hold(client: Host, from: string): void {
  const script = `require('node:net').connect({ host: '${SERVER[4]}', port: 22, localAddress: '${from}' })`
  client.spawn(process.execPath, ['-e', script], { stdio: 'inherit' })
}

const POLICY = `
allow: [198.51.100.0/24, "2001:db8:600d::/48"]
services:
  ssh: {ports: [22], limits: {source: {burst: 100, rate: 100/s}}}
  smtp: {ports: [25], limits: {source: {burst: 100, rate: 100/s}}}
ban: {maxEntries: 2}
metrics: off
`

describe('bans by hand', () => {
  let scene: Scene
  let sluice: Sluice

  beforeAll(async () => {
    scene = new Scene()
    await Sshd.start(scene.server)
    await listen(scene.server, 25)
    scene.client.addAddress(`${ADMINISTRATOR}/32`)
    scene.server.run('ip', 'route', 'add', '100.64.0.0/10', 'dev', 'eth0')
    hold(scene.client, ADMINISTRATOR)
    const isOpen = () => scene.server.run('ss', '-Htn', 'state', 'established', 'dst', ADMINISTRATOR) !== ''
    await eventually('the administrator is connected', isOpen)
    scene.server.run('ip', 'route', 'add', 'default', 'via', GATEWAY[4])
    scene.server.run('ip', '-6', 'route', 'add', 'default', 'via', GATEWAY[6])
    sluice = await Sluice.start(scene.server, POLICY)
  })

  afterAll(() => scene.close())

  test.each([
    { what: 'an own address', prefix: SERVER[4], reason: 'own address on eth0' },
    { what: 'a network around an own address', prefix: '192.0.2.0/24', reason: 'own address on eth0' },
    { what: 'an own IPv6 address', prefix: SERVER[6], reason: 'own address on eth0' },
    { what: 'the gateway', prefix: GATEWAY[4], reason: 'gateway' },
    { what: 'the IPv6 gateway', prefix: `${GATEWAY[6]}/128`, reason: 'gateway' },
    { what: 'an address of the allow list', prefix: '198.51.100.7', reason: 'policy' },
    { what: 'an IPv6 network of the allow list', prefix: '2001:db8:600d:1::/64', reason: 'policy' },
    { what: 'who was connected to sshd at the start', prefix: ADMINISTRATOR, reason: 'SSH session' },
    { what: 'loopback', prefix: '127.0.0.1', reason: 'loopback' },
  ])('$what is never banned, and the refusal says why', async ({ prefix, reason }) => {
    const { status, stderr } = await sluice.cli('bans', 'add', prefix)
    expect(status).toBe(EXIT.refused)
    expect(stderr).toContain('is never banned')
    expect(stderr).toContain(reason)
    expect(await sluice.ask({ op: 'bans list' })).toEqual([])
  })

  test.each([4, 6] as const)(
    'a ban of one service leaves the others open, until it is lifted (IPv%d)',
    async (family) => {
      const passed = (port: number) =>
        connections(scene.client, { to: SERVER[family], port, from: ATTACKER[family], timeoutMs: 400 })
      const network = family === 4 ? '203.0.113.0/24' : '2001:db8:bad::/48'
      const options = ['--for', '2h', '--service', 'smtp', '--reason', 'noise']
      const added = await sluice.cli('bans', 'add', network, ...options)
      expect(added).toMatchObject({ status: EXIT.ok, stderr: '' })
      expect([await passed(22), await passed(25)]).toEqual([1, 0])
      const listed = JSON.parse((await sluice.cli('bans', 'list', '--json')).stdout)
      expect(listed).toMatchObject([{ prefix: network, scope: 'smtp', origin: 'manual', reason: 'noise' }])
      expect(listed[0].secondsLeft).toBeGreaterThan(7000)

      expect((await sluice.cli('bans', 'remove', network)).status).toBe(EXIT.ok)
      expect([await passed(22), await passed(25)]).toEqual([1, 1])
      expect((await sluice.cli('bans', 'remove', network)).status).toBe(EXIT.refused)
    },
  )

  test('a ban of an IPv6 network on the own link leaves neighbour discovery alone', async () => {
    await sluice.ask({ op: 'bans add', prefix: ATTACKER[6] })
    // Nobody has talked to this address yet, and the banned one is the first that asks the link for it.
    const to = '2001:db8:1::11'
    scene.server.addAddress(`${to}/128`)
    const client = { to, port: 22, timeoutMs: 400 }
    expect(await connections(scene.client, { ...client, from: ATTACKER[6] })).toBe(0)
    expect(await connections(scene.client, { ...client, from: HONEST[6] })).toBe(1)
    await sluice.ask({ op: 'bans remove', prefix: ATTACKER[6] })
  })

  test('open connections of a source that is banned are forgotten by the kernel', async () => {
    const tracked = () => scene.server.run('conntrack', '-L', '-s', ATTACKER[4])
    hold(scene.client, ATTACKER[4])
    await eventually('the connection is open', () => tracked().includes('ESTABLISHED'))
    await sluice.ask({ op: 'bans add', prefix: ATTACKER[4] })
    await eventually('it is gone', () => tracked() === '')
    await sluice.ask({ op: 'bans remove', prefix: ATTACKER[4] })
  })

  test('a full set gives up the ban that is nearest its end, and says so', async () => {
    for (const [prefix, time] of [
      ['203.0.113.1', '2h'],
      ['203.0.113.2', '1h'],
      ['203.0.113.3', '3h'],
    ] as const) {
      expect((await sluice.cli('bans', 'add', prefix, '--for', time)).status).toBe(EXIT.ok)
    }
    const left = ['203.0.113.1', '203.0.113.3']
    expect((await sluice.ask({ op: 'bans list' })).map(({ prefix }) => prefix)).toEqual(left)
    const members = scene.server.run('ipset', 'list', 'sluice-ban-all-4').match(/^203\S+/gm)
    expect(members?.sort()).toEqual(left)
    expect(sluice.output).toContain('the ban set of all is full: lifted the ban of 203.0.113.2')
  })

  test('nothing listens, and the command says how to start it', async () => {
    await sluice.stop()
    const { status, stderr } = await sluice.cli('status')
    expect(status).toBe(EXIT.unavailable)
    expect(stderr).toMatch(/no daemon answers on .*\n.*npm start/)
  })
})
