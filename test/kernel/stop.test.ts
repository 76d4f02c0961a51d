import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { eventually } from '../lib/eventually.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { PROGRAM, Sluice } from '../lib/sluice.ts'
import { connections, listen, TcpClient } from '../lib/tcp.ts'
import { traces } from './firewall-host.ts'

const FAMILIES = [4, 6] as const

describe.each(['nft', 'legacy'] as const)('with iptables-%s', (backend) => {
  let scene: Scene

  const policy = `
services:
  ssh: {ports: [22], limits: {source: {burst: 100, rate: 100/s}}}
firewall: {backend: ${backend}}
metrics: off
`

  beforeEach(async () => {
    scene = new Scene()
    await listen(scene.server, 22)
    // What the host has of its own must be there afterwards, and nothing else.
    for (const tool of [`iptables-${backend}`, `ip6tables-${backend}`]) {
      scene.server.run(tool, '-t', 'mangle', '-A', 'PREROUTING', '-p', 'tcp', '--dport', '80', '-j', 'ACCEPT')
      scene.server.run(tool, '-t', 'raw', '-N', 'THEIRS')
    }
    scene.server.run('ipset', 'create', 'theirs', 'hash:ip')
  })

  afterEach(() => scene.close())

  async function startWithBans(...args: string[]): Promise<Sluice> {
    const sluice = await Sluice.start(scene.server, policy, { args })
    for (const family of FAMILIES) await sluice.ask({ op: 'bans add', prefix: ATTACKER[family] })
    return sluice
  }

  const isInKernel = async (family: 4 | 6) =>
    (await scene.server.attempt('ipset', 'test', `sluice-ban-all-${family}`, ATTACKER[family])).status === 0

  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s removes the chains, leaves the bans to their time, exits 0',
    async (signal) => {
      const before = traces(scene.server)
      const sluice = await startWithBans()
      expect(traces(scene.server)).toMatch(/-A PREROUTING -j SLUICE$/m)
      expect(await sluice.stop(signal)).toBe(0)
      const after = traces(scene.server)
      expect(after.replace(/^sluice-ban-(all|ssh)-[46]\n/gm, '')).toBe(before)
      for (const family of FAMILIES) expect(await isInKernel(family)).toBe(true)
    },
  )

  test('run --flush leaves nothing behind', async () => {
    const before = traces(scene.server)
    const sluice = await startWithBans('--flush')
    expect(await sluice.stop()).toBe(0)
    expect(traces(scene.server)).toBe(before)
  })

  test('firewall down after kill -9 leaves no trace', async () => {
    const before = traces(scene.server)
    const sluice = await startWithBans()
    sluice.signal('SIGKILL')
    expect(await sluice.ended).toBe('SIGKILL')
    expect(traces(scene.server)).not.toBe(before)
    expect((await scene.server.attempt(process.execPath, PROGRAM, 'firewall', 'down')).status).toBe(0)
    expect(traces(scene.server)).toBe(before)
  })

  test('packets that wait in the queue when it ends are let through', async () => {
    const sluice = await Sluice.start(scene.server, policy)
    sluice.signal('SIGSTOP')
    const clients = FAMILIES.map(
      (family) =>
        new TcpClient(scene.client, { to: SERVER[family], port: 22, from: HONEST[family], count: 10 }),
    )
    await eventually('all wait', () => {
      const [, , waiting] = scene.server.run('cat', '/proc/net/netfilter/nfnetlink_queue').trim().split(/\s+/)
      return Number(waiting) === 20
    })
    sluice.signal('SIGTERM')
    sluice.signal('SIGCONT')
    for (const { outcomes } of clients) {
      await eventually('all are open', () => outcomes.length === 10)
      expect(outcomes.filter(({ ok }) => !ok)).toEqual([])
    }
    expect(await sluice.ended).toBe(0)
    expect(await connections(scene.client, { to: SERVER[4], port: 22, from: HONEST[4] })).toBe(1)
  })
})
