import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../lib/eventually.ts'
import type { Host } from '../lib/lab.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen } from '../lib/tcp.ts'

const POLICY = `
services:
  ssh:
    ports: [22, 2222]
    limits: {source: {burst: 3, rate: 1/min}}
    ban: {strikes: 3, within: 1m}
  smtp:
    ports: [25]
    limits: {source: {burst: 100, rate: 100/s}}
metrics: off
`

describe.each(['nft', 'legacy'])('with iptables-%s', (backend) => {
  let scene: Scene
  let inner: Host
  let sluice: Sluice

  const tool = (family: number) => `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}`

  beforeAll(async () => {
    scene = new Scene('inner')
    const { server } = scene
    inner = scene.lab.host('inner')
    inner.run('ip', 'route', 'add', 'default', 'via', server.ipv4)
    inner.run('ip', '-6', 'route', 'add', 'default', 'via', server.ipv6)
    server.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
    for (const [family, target] of [
      [4, `${inner.ipv4}:22`],
      [6, `[${inner.ipv6}]:22`],
    ] as const) {
      const rules = [
        '-A INPUT -p tcp --dport 25 -j DROP',
        '-P FORWARD DROP',
        '-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT',
        '-A FORWARD -p tcp --dport 22 -j ACCEPT',
        `-t nat -A PREROUTING -p tcp --dport 2222 -j DNAT --to-destination ${target}`,
      ]
      for (const rule of rules) server.run(tool(family), ...rule.split(' '))
    }
    await listen(server, 22, 25)
    await listen(inner, 22)
    sluice = await Sluice.start(server, `${POLICY}\nfirewall: {backend: ${backend}}\n`)
  })

  afterAll(() => scene.close())

  test.each([4, 6] as const)(
    'what filter INPUT drops stays dropped though sluice accepts it (IPv%d)',
    async (family) => {
      const accepted = async () =>
        (await sluice.status()).services.find(({ name }) => name === 'smtp')!.accepted
      const before = await accepted()
      const client = { to: SERVER[family], from: HONEST[family], timeoutMs: 500 }
      expect(await connections(scene.client, { ...client, port: 25 })).toBe(0)
      expect(await accepted()).toBe(before + 1)
      expect(await connections(scene.client, { ...client, port: 22 })).toBe(1)
    },
  )

  test.each([4, 6] as const)(
    'a port published by DNAT is limited, and its attacker banned (IPv%d)',
    async (family) => {
      const client = { to: SERVER[family], from: ATTACKER[family], port: 2222, timeoutMs: 500 }
      expect(await connections(scene.client, { ...client, count: 10 })).toBe(3)
      await eventually('the attacker is banned', async () => {
        const bans = await sluice.ask({ op: 'bans list' })
        return bans.some(({ prefix }) => prefix.includes(':') === (family === 6))
      })
      expect(await connections(scene.client, client)).toBe(0)
      expect(await connections(scene.client, { ...client, from: HONEST[family] })).toBe(1)
    },
  )
})
