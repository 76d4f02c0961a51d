import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startBind } from '../lib/bind.ts'
import { reverseOf } from '../lib/dns-query.ts'
import { eventually } from '../lib/eventually.ts'
import { Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'

const POLICY = readFileSync(new URL('../../rules/sluice.yaml', import.meta.url), 'utf8')

/** Busy resolvers, five to a network, with as many queries a second each as were seen of one while a browser started. */
const CLIENTS = 50
const PER_SECOND = 60
const SECONDS = 8
/** Every twelfth query of theirs is a reverse one: five a second. */
const REVERSE = 12

let scene: Scene
let sluice: Sluice

beforeAll(async () => {
  scene = new Scene()
  for (const address of Array.from({ length: CLIENTS }, (_, i) => clientAddress(i))) {
    scene.client.addAddress(`${address}/32`)
  }
  scene.server.run('ip', 'route', 'add', '100.64.0.0/16', 'via', scene.client.ipv4)
  const zones = { 'site.test': '* A 192.0.2.80', 'in-addr.arpa': '* PTR host.example.test.' }
  await startBind(scene.server, { zones })
  sluice = await Sluice.start(scene.server, POLICY)
})

afterAll(() => scene.close())

function clientAddress(i: number): string {
  return `100.64.${Math.floor(i / 5)}.${10 + (i % 5)}`
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
async function ask(i: number): Promise<{ sent: number; answered: number }> {
  const file = scene.client.scratch().path('queries')
  writeFileSync(file, queries(i))
  const amount = ['-l', SECONDS, '-Q', PER_SECOND].map(String)
  const args = ['-s', SERVER[4], '-a', clientAddress(i), '-d', file, ...amount]
  const { stdout, stderr } = await scene.client.attempt('dnsperf', ...args)
  const number = (pattern: RegExp) => {
    const [, found] = pattern.exec(stdout) ?? []
    if (found === undefined) throw new Error(`dnsperf has said: ${stdout}${stderr}`)
    return Number(found)
  }
  return { sent: number(/Queries sent:\s+(\d+)/), answered: number(/NOERROR (\d+)/) }
}

test(`${CLIENTS} honest clients with ${PER_SECOND} queries a second each are never refused`, async () => {
  const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => ask(i)))
  const sent = clients.reduce((sum, each) => sum + each.sent, 0)
  const answered = clients.reduce((sum, each) => sum + each.answered, 0)
  // A slow machine sends fewer, and its BIND may miss some.
  expect(sent).toBeGreaterThan((CLIENTS * PER_SECOND * SECONDS) / 4)
  expect(answered).toBeGreaterThan(sent * 0.95)
  const dns = async () => (await sluice.status()).services.find(({ name }) => name === 'dns')!
  await eventually('sluice has seen them', async () => (await dns()).accepted >= sent)
  expect((await dns()).refused).toBe(0)
  expect(await sluice.metric('sluice_dns_queries_total{kind="reverse"}')).toBeGreaterThan(sent / REVERSE / 2)
  expect(await sluice.ask({ op: 'bans list' })).toEqual([])
})
