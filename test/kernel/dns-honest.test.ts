import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Family } from '../../src/net/prefix.ts'
import { startBind } from '../lib/bind.ts'
import { reverseOf } from '../lib/dns-query.ts'
import { eventually } from '../lib/eventually.ts'
import { Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'

const POLICY = readFileSync(new URL('../../rules/sluice.yaml', import.meta.url), 'utf8')

/** Busy resolvers, five to a network, with as many queries a second each as were seen of one while a browser started. */
const CLIENTS = 50
const PER_SECOND = 60
/** Five minutes say more, but take them: SLUICE_HONEST_SECONDS=300 npx vitest run test/kernel/dns-honest.test.ts */
const SECONDS = Number(process.env.SLUICE_HONEST_SECONDS ?? 8)
/** Every twelfth query of theirs is a reverse one: five a second. */
const REVERSE = 12

let scene: Scene
let sluice: Sluice

beforeAll(async () => {
  scene = new Scene()
  for (let i = 0; i < CLIENTS; i++) {
    scene.client.addAddress(`${clientAddress(4, i)}/32`, `${clientAddress(6, i)}/128`)
  }
  scene.server.run('ip', 'route', 'add', '100.64.0.0/16', 'via', scene.client.ipv4)
  scene.server.run('ip', '-6', 'route', 'add', '2001:db8:c000::/36', 'via', scene.client.ipv6)
  const zones = { 'site.test': '* A 192.0.2.80', 'in-addr.arpa': '* PTR host.example.test.' }
  await startBind(scene.server, { zones })
  sluice = await Sluice.start(scene.server, POLICY)
})

afterAll(() => scene.close())

/** Over IPv6, five /64s to a /48. */
function clientAddress(family: Family, i: number): string {
  const [network, host] = [Math.floor(i / 5), 10 + (i % 5)]
  return family === 4
    ? `100.64.${network}.${host}`
    : `2001:db8:c${network.toString().padStart(3, '0')}:${host}::7`
}

/** What client `i` asks, as dnsperf reads it. Reverse names are of hosts all over the world. */
function queries(i: number): string {
  return Array.from({ length: PER_SECOND * SECONDS * 2 }, (_, k) => {
    if (k % REVERSE > 0) return `n${i}-${k}.site.test A\n`
    const address = Math.imul(i * 65_536 + k + 1, 0x9e3779b1) >>> 0
    return `${reverseOf(address)} PTR\n`
  }).join('')
}

/** Sends them at the client's rate, and counts the queries sent and those answered with what there is. */
async function ask(family: Family, i: number): Promise<{ sent: number; answered: number }> {
  const file = scene.client.scratch().path('queries')
  writeFileSync(file, queries(i))
  const amount = ['-l', SECONDS, '-Q', PER_SECOND].map(String)
  const inet = family === 4 ? 'inet' : 'inet6'
  const args = ['-s', SERVER[family], '-f', inet, '-a', clientAddress(family, i), '-d', file, ...amount]
  const { stdout, stderr } = await scene.client.attempt('dnsperf', ...args)
  const number = (pattern: RegExp) => {
    const [, found] = pattern.exec(stdout) ?? []
    if (found === undefined) throw new Error(`dnsperf has said: ${stdout}${stderr}`)
    return Number(found)
  }
  return { sent: number(/Queries sent:\s+(\d+)/), answered: number(/NOERROR (\d+)/) }
}

test.each([4, 6] as const)(
  `${CLIENTS} honest clients with ${PER_SECOND} queries a second each are never refused, over IPv%i`,
  async (family) => {
    const dns = async () => (await sluice.status()).services.find(({ name }) => name === 'dns')!
    const reverse = () => sluice.metric('sluice_dns_queries_total{kind="reverse"}')
    const [before, reverseBefore] = [(await dns()).accepted, await reverse()]
    const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => ask(family, i)))
    const sent = clients.reduce((sum, each) => sum + each.sent, 0)
    const answered = clients.reduce((sum, each) => sum + each.answered, 0)
    if (SECONDS > 60) console.log(`IPv${family}: ${sent} queries in ${SECONDS} s, ${answered} answered`)
    // A slow machine sends fewer, and its BIND may miss some.
    expect(sent).toBeGreaterThan((CLIENTS * PER_SECOND * SECONDS) / 4)
    expect(answered).toBeGreaterThan(sent * 0.95)
    await eventually('sluice has seen them', async () => (await dns()).accepted - before >= sent)
    expect((await dns()).refused).toBe(0)
    expect((await reverse()) - reverseBefore).toBeGreaterThan(sent / REVERSE / 2)
    expect(await sluice.ask({ op: 'bans list' })).toEqual([])
  },
  SECONDS * 1000 + 180_000,
)
