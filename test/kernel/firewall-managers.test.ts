import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually } from '../lib/eventually.ts'
import { Firewalld } from '../lib/firewalld.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen } from '../lib/tcp.ts'
import { Ufw } from '../lib/ufw.ts'

const FAMILIES = [4, 6] as const
const POLICY = `
services:
  ssh: {ports: [22], limits: {source: {burst: 3, rate: 1/min}}, ban: {strikes: 3, within: 1m}}
  smtp: {ports: [25], limits: {source: {burst: 100, rate: 100/s}}}
allow: [${HONEST[4]}, "${HONEST[6]}"]
metrics: off
`

let scene: Scene
let sluice: Sluice

beforeEach(async () => {
  scene = new Scene()
  await listen(scene.server, 22, 25)
})

afterEach(() => scene.close())

/** Starts sluice, and has the attacker banned. */
async function startSluice(): Promise<void> {
  sluice = await Sluice.start(scene.server, POLICY)
  await Promise.all(FAMILIES.map((family) => connect(family, ATTACKER[family], 22, 10)))
  await eventually(
    'both attackers are banned',
    async () => (await sluice.ask({ op: 'bans list' })).length === 2,
  )
}

function connect(family: 4 | 6, from: string, port: number, count = 1): Promise<number> {
  return connections(scene.client, { to: SERVER[family], from, port, count, timeoutMs: 1500 })
}

/** What somebody honest gets of port 22 and 25, and the attacker of 22: the same over both families. */
async function reached(): Promise<string> {
  const rows = await Promise.all(
    FAMILIES.map(async (family) =>
      [
        await connect(family, HONEST[family], 22),
        await connect(family, HONEST[family], 25),
        await connect(family, ATTACKER[family], 22),
      ].join(' '),
    ),
  )
  expect(rows[1]).toBe(rows[0])
  return rows[0]!
}

/** Waits for a firewall that is whole: another tool has just changed it. */
async function expectWhole(): Promise<void> {
  await eventually('chains and sets are in place', async () => {
    const status = ['dist/main.js', 'firewall', 'status', '--config', sluice.configFile]
    return (await scene.server.attempt(process.execPath, ...status)).status === 0
  })
}

const MANAGERS = {
  ufw: async () => {
    const ufw = new Ufw(scene.server)
    return {
      openSsh: () => ufw.run('allow', '22/tcp'),
      closeSsh: () => ufw.run('delete', 'allow', '22/tcp'),
      start: () => ufw.run('--force', 'enable'),
      reload: () => ufw.run('reload'),
      stop: () => ufw.run('--force', 'reset'),
    }
  },
  'firewalld with nftables': () => firewalld('nftables'),
  'firewalld with iptables': () => firewalld('iptables'),
}

async function firewalld(backend: 'nftables' | 'iptables') {
  let running: Firewalld
  return {
    openSsh: () => {},
    closeSsh: () => running.run('--remove-service', 'ssh'),
    start: async () => {
      running = await Firewalld.start(scene.server, backend)
    },
    reload: () => running.run('--complete-reload'),
    stop: () => running.close(),
  }
}

test.each(Object.entries(MANAGERS))(
  '%s: what it closes stays closed, what it opens stays limited, and bans hold over all that it does',
  async (_, create) => {
    const manager = await create()
    await manager.openSsh()
    await startSluice()
    expect(await reached()).toBe('1 1 0')
    await manager.start()
    await expectWhole()
    // Nothing has opened port 25, which sluice lets through.
    expect(await reached()).toBe('1 0 0')
    await manager.reload()
    await expectWhole()
    expect(await reached()).toBe('1 0 0')
    await manager.closeSsh()
    expect(await reached()).toBe('0 0 0')
    await manager.stop()
    await expectWhole()
    expect(await reached()).toBe('1 1 0')
    expect(await sluice.stop()).toBe(0)
    // What is left is the manager's affair alone.
    expect(scene.server.run('ipset', 'list', '-n')).not.toMatch(/sluice-(?!ban)/)
  },
)
