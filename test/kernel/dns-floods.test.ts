import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Family } from '../../src/net/prefix.ts'
import { startBind } from '../lib/bind.ts'
import { eventually } from '../lib/eventually.ts'
import { compileFlood, type FloodOptions, flood as sendFlood } from '../lib/flood.ts'
import { type Addresses, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'

const POLICY = readFileSync(new URL('../../rules/sluice.yaml', import.meta.url), 'utf8')

/**
 * So long an honest client must have been here before, to be no stranger: 32 s, counted in steps of 16 of which the
 * first does not count, so 48 s from its first query to its last; and it asks every few seconds.
 */
const RESIDENCE_MS = 60_000

const RESIDENT: Addresses = { 4: '100.0.1.7', 6: '2001:db8:c001::7' }
/** Asks for nothing but one reverse name, while a flood is on. */
const STRANGER: Addresses = { 4: '100.0.2.7', 6: '2001:db8:c002::7' }
const HONEST: Readonly<Record<Family, string>> = { 4: '100.0.0.0/16', 6: '2001:db8:c000::/36' }
/** Of flood.c. */
const FORGED: Readonly<Record<Family, string>> = { 4: '100.64.0.0/10', 6: '2001:db8:f000::/36' }

let scene: Scene
let sluice: Sluice
let program: string

beforeAll(async () => {
  scene = new Scene()
  program = compileFlood(scene.client.scratch())
  scene.client.addAddress(...[RESIDENT, STRANGER].flatMap((each) => [`${each[4]}/32`, `${each[6]}/128`]))
  for (const family of [4, 6] as const) {
    const gateway = family === 4 ? scene.client.ipv4 : scene.client.ipv6
    for (const network of [HONEST[family], FORGED[family]])
      scene.server.run('ip', `-${family}`, 'route', 'add', network, 'via', gateway)
  }
  await startBind(scene.server, {
    zones: { 'site.test': '* A 192.0.2.80', '18.198.in-addr.arpa': '* PTR host.example.test.' },
  })
  sluice = await Sluice.start(scene.server, POLICY)
})

afterAll(() => scene.close())

async function flood(options: Omit<FloodOptions, 'to'>, family: Family): Promise<void> {
  await sendFlood(program, scene.client, scene.server, { ...options, to: SERVER[family] })
}

async function dig(from: Addresses, family: Family, ...query: readonly string[]): Promise<string> {
  const args = [`@${SERVER[family]}`, '-b', from[family], '+short', '+timeout=2', ...query]
  const { stdout } = await scene.client.attempt('dig', ...args)
  return stdout.trim().split('\n').at(-1)!
}

const refused = (reason: string) =>
  sluice.metric(`sluice_packets_total{service="dns",verdict="drop",reason="${reason}"}`).catch(() => 0)

test.each([4, 6] as const)('over IPv%i, a sweep and a flood from one source are refused', async (family) => {
  const before = { sweep: await refused('sweep'), limit: await refused('reverse-limit') }
  await flood({ kind: 'ptr-walk', sources: 1, rate: 300, seconds: 2 }, family)
  await eventually('it is a sweep', async () => (await refused('sweep')) - before.sweep > 200)
  await flood({ kind: 'ptr', sources: 1, rate: 3000, seconds: 1 }, family)
  const all = async () => (await refused('sweep')) + (await refused('reverse-limit'))
  await eventually('so is the flood', async () => (await all()) - before.sweep - before.limit > 2000)
  expect(await sluice.metric('sluice_dns_reverse_flooded')).toBe(0)
  expect(await dig(STRANGER, family, 'www.site.test')).toBe('192.0.2.80')
})

test('in a flood from forged sources, over IPv4 and IPv6, honest clients have their reverse queries answered', async () => {
  const startMs = performance.now()
  while (performance.now() < startMs + RESIDENCE_MS) {
    for (const family of [4, 6] as const) {
      expect(await dig(RESIDENT, family, 'www.site.test')).toBe('192.0.2.80')
    }
    await sleep(5000)
  }
  for (const family of [4, 6] as const) {
    const before = await refused('reverse-flood')
    const proven = await sluice.metric('sluice_dns_proven_resolvers_total')
    const attack = flood({ kind: 'ptr', sources: 100_000, rate: 3000, seconds: 6 }, family)
    await eventually('the flood is refused', async () => (await refused('reverse-flood')) - before > 1000)
    // By UDP, as it was here before.
    for (let i = 0; i < 5; i++) {
      const query = ['+notcp', '+ignore', '+tries=3', '-x', `198.18.${family}.${i}`]
      expect(await dig(RESIDENT, family, ...query)).toBe('host.example.test.')
    }
    // By TCP, as it asks again and is told to.
    expect(await dig(STRANGER, family, '+tries=4', '-x', `198.18.${family}.9`)).toBe('host.example.test.')
    // It still is one, or was within half a minute.
    expect(await sluice.metric('sluice_dns_reverse_flooded')).toBe(1)
    await eventually('it is known good', async () => {
      return (await sluice.metric('sluice_dns_proven_resolvers_total')) > proven
    })
    await attack
  }
})

test.each([4, 6] as const)(
  'over IPv%i, a flood that fills the queue is thinned out by the kernel, and honest clients are spared',
  async (family) => {
    const thinned = () => sluice.metric(`sluice_dns_reverse_flood_thinned{family="ipv${family}"}`)
    const entries = () =>
      scene.server.run('ipset', 'list', `sluice-flood-${family}`).split('Members:')[1]!.trim()
    expect(entries()).toBe('')
    const attack = flood({ kind: 'ptr', sources: 100_000, rate: 20_000, seconds: 8 }, family)
    await sleep(500)
    // So that the queue fills on any machine.
    sluice.process.kill('SIGSTOP')
    await sleep(300)
    sluice.process.kill('SIGCONT')
    await eventually('it is thinned out', async () => (await thinned()) === 1)
    expect(entries().split('\n')).toHaveLength(2)
    for (let i = 0; i < 5; i++) {
      const query = ['+notcp', '+ignore', '+tries=3', '-x', `198.18.${family}.${i}`]
      expect(await dig(RESIDENT, family, ...query)).toBe('host.example.test.')
    }
    const spared = () => scene.server.run('ipset', 'list', `sluice-spared-${family}`)
    const resident = family === 4 ? RESIDENT[4] : '2001:db8:c001::/64'
    await eventually('who is answered is spared', () => spared().includes(`\n${resident} timeout`))
    const [tool, zone] = family === 4 ? ['iptables', '07696e'] : ['ip6tables', '07696e']
    const rule = scene.server
      .run(tool!, '-t', 'raw', '-vnxL', 'SLUICE-BAN')
      .split('\n')
      .find((line) => line.includes(zone!))
    expect(Number(rule?.trim().split(/\s+/)[0])).toBeGreaterThan(1000)
    const { stdout } = await sluice.cli('status', '--dns')
    expect(stdout).toMatch(
      new RegExp(
        `^reverse queries: [\\d,]+ a second \\(FLOOD\\), and about 7 times as many over .*IPv${family}.* that the kernel drops$`,
        'm',
      ),
    )
    // The rest still comes, or nobody would know when it ends.
    expect(await sluice.metric('sluice_dns_reverse_flooded')).toBe(1)
    await attack
    await eventually('it ends by itself', async () => (await thinned()) === 0 && entries() === '')
  },
)
