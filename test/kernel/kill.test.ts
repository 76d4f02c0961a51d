import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually } from '../lib/eventually.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen, TcpClient } from '../lib/tcp.ts'

const KILLS = 50
/** From the start of the process to its end: some die before the chains are there, some while they judge. */
const LIFE_MS = { least: 50, most: 1200 }
const FAMILIES = [4, 6] as const

const POLICY = `
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 60, rate: 60/s}}
    ban: {strikes: 10, within: 1m}
metrics: off
`

let scene: Scene

beforeEach(async () => {
  scene = new Scene()
  await listen(scene.server, 22)
})

afterEach(() => scene.close())

const bannedInKernel = () =>
  FAMILIES.map((family) => scene.server.run('ipset', 'list', `sluice-ban-ssh-${family}`)).join('')

test(`kill -9 at ${KILLS} random moments under load: honest traffic flows within a second each time, and no ban is lost`, async () => {
  const first = await Sluice.start(scene.server, POLICY)
  for (const family of FAMILIES) {
    const attack = { to: SERVER[family], port: 22, from: ATTACKER[family], count: 150, timeoutMs: 500 }
    await connections(scene.client, attack)
  }
  await eventually('both attackers are banned', async () => {
    const bans = await first.ask({ op: 'bans list' })
    return bans.length === 2
  })
  const honest = FAMILIES.map(
    (family) =>
      new TcpClient(scene.client, {
        to: SERVER[family],
        port: 22,
        from: HONEST[family],
        count: 0,
        everyMs: 50,
        timeoutMs: 10_000,
      }),
  )
  await eventually('there is load', () => honest.every(({ outcomes }) => outcomes.length > 10))
  await first.stop('SIGKILL')

  const lifeMs: number[] = []
  for (let kill = 0; kill < KILLS; kill++) {
    const sluice = new Sluice(scene.server, POLICY)
    lifeMs.push(LIFE_MS.least + Math.random() * (LIFE_MS.most - LIFE_MS.least))
    await sleep(lifeMs.at(-1))
    const killedAt = Date.now()
    expect(await sluice.stop('SIGKILL'), `it ended by itself: ${sluice.output}`).toBe('SIGKILL')
    for (const { outcomes } of honest) {
      const next = await eventually('traffic flows again', () =>
        outcomes.find(({ startedAt, ok }) => ok && startedAt > killedAt),
      )
      const flowsAfterMs = next.startedAt + next.ms - killedAt
      expect(flowsAfterMs, `killed after ${lifeMs.map(Math.round).join(', ')} ms`).toBeLessThan(1000)
    }
    expect(bannedInKernel()).toContain(`${ATTACKER[4]} timeout`)
    expect(bannedInKernel()).toContain('2001:db8:bad::/64 timeout')
  }

  const last = await Sluice.start(scene.server, POLICY)
  expect(await last.ask({ op: 'bans list' })).toHaveLength(2)
  for (const family of FAMILIES) {
    const attack = { to: SERVER[family], port: 22, from: ATTACKER[family], timeoutMs: 500 }
    expect(await connections(scene.client, attack)).toBe(0)
  }
  await eventually('no packet waits', async () => (await last.status()).queues[0]!.waiting === 0)
  for (const client of honest) {
    await client.close()
    // What waited in a queue when its owner was killed is sent again by the client's kernel.
    expect(client.outcomes.filter(({ ok }) => !ok)).toEqual([])
  }
  expect(await last.stop()).toBe(0)
}, 240_000)
