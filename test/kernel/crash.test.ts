import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { eventually } from '../lib/eventually.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen, TcpClient } from '../lib/tcp.ts'

const FAMILIES = [4, 6] as const

const policy = (backend: string) => `
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 50, rate: 50/s}}
    ban: {strikes: 10, within: 1m}
firewall: {backend: ${backend}}
metrics: off
`

describe.each(['nft', 'legacy'])('after kill -9, with iptables-%s', (backend) => {
  let scene: Scene

  beforeEach(async () => {
    scene = new Scene()
    await listen(scene.server, 22)
  })

  afterEach(() => scene.close())

  const passed = (family: 4 | 6, from: string) =>
    connections(scene.client, { to: SERVER[family], port: 22, from, timeoutMs: 500 })

  test('traffic flows within a second, bans hold, and a new start adopts them', async () => {
    const sluice = await Sluice.start(scene.server, policy(backend))
    for (const family of FAMILIES) {
      const flood = { to: SERVER[family], port: 22, from: ATTACKER[family], count: 100, timeoutMs: 500 }
      await connections(scene.client, flood)
    }
    const banned = await eventually('both attackers are banned', async () => {
      const bans = await sluice.ask({ op: 'bans list' })
      return bans.length === 2 && bans
    })
    const loads = FAMILIES.map(
      (family) =>
        new TcpClient(scene.client, {
          to: SERVER[family],
          port: 22,
          from: HONEST[family],
          count: 0,
          everyMs: 40,
        }),
    )
    await eventually('there is load', () => loads.every(({ outcomes }) => outcomes.length > 10))

    const killedAt = Date.now()
    sluice.signal('SIGKILL')
    for (const { outcomes } of loads) {
      const first = await eventually('traffic flows again', () =>
        outcomes.find(({ startedAt, ok }) => ok && startedAt > killedAt),
      )
      expect(first.startedAt + first.ms - killedAt).toBeLessThan(1000)
    }
    for (const family of FAMILIES) expect(await passed(family, ATTACKER[family])).toBe(0)

    const successor = await Sluice.start(scene.server, policy(backend))
    const adopted = await successor.ask({ op: 'bans list' })
    const places = (bans: typeof adopted) => bans.map(({ prefix, scope }) => `${prefix} ${scope}`).sort()
    expect(places(adopted)).toEqual(places(banned))
    expect(adopted.map(({ origin }) => origin)).toEqual(['adopted', 'adopted'])
    for (const [i, { secondsLeft }] of adopted.entries()) {
      expect(secondsLeft).toBeLessThanOrEqual(banned[i]!.secondsLeft!)
      expect(secondsLeft).toBeGreaterThan(banned[i]!.secondsLeft! - 30)
    }
    for (const family of FAMILIES) expect(await passed(family, ATTACKER[family])).toBe(0)
    for (const { outcomes } of loads) {
      const since = outcomes.length
      await eventually('the honest clients go on', () => outcomes.length > since + 10)
      expect(outcomes.slice(since).every(({ ok }) => ok)).toBe(true)
    }
    expect(await successor.stop()).toBe(0)
  })
})
