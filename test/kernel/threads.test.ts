import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen } from '../lib/tcp.ts'

const POLICY = `
threads: 2
services:
  ssh: {ports: [22], limits: {source: {burst: 100, rate: 1/min}, network: {burst: 100, rate: 1/min}}}
`

const COUNT = 16

/** The n-th address of a network, which is a /24, or a /48 in each of whose /64s one address is. */
const ADDRESS = {
  4: (network: number, n: number) => `100.${64 + (network >> 10)}.${(network >> 2) & 255}.${n + 1}`,
  6: (network: number, n: number) => `2001:db8:${network.toString(16)}:${n}::7`,
} as const

/** 16 bits without any pattern, which a multiplicative hash might map to a pattern of its own. */
const scattered = (i: number) => createHash('sha256').update(`network ${i}`).digest().readUInt16BE(0)

let scene: Scene
let sluice: Sluice

beforeAll(async () => {
  scene = new Scene()
  scene.server.run('ip', 'route', 'add', '100.64.0.0/10', 'via', scene.client.ipv4)
  await listen(scene.server, 22)
  sluice = await Sluice.start(scene.server, POLICY)
})

afterAll(() => scene.close())

const received = async () => (await sluice.status()).queues.map((queue) => queue.received)

/** Connects once from each address; returns how many packets each queue has got of that. */
async function spread(family: 4 | 6, addresses: readonly string[]): Promise<number[]> {
  const bits = family === 4 ? 32 : 128
  scene.client.addAddress(...addresses.map((address) => `${address}/${bits}`))
  const before = await received()
  for (const from of addresses) {
    expect(await connections(scene.client, { to: SERVER[family], port: 22, from })).toBe(1)
  }
  return (await received()).map((count, i) => count - before[i]!)
}

test.each([4, 6] as const)(
  'over IPv%d the sources of one network all come to the same thread',
  async (family) => {
    const addresses = Array.from({ length: COUNT }, (_, n) => ADDRESS[family](scattered(0), n))
    expect((await spread(family, addresses)).sort((a, b) => a - b)).toEqual([0, COUNT])
  },
)

test.each([4, 6] as const)('over IPv%d the networks are spread over both threads', async (family) => {
  const addresses = Array.from({ length: COUNT }, (_, i) => ADDRESS[family](scattered(i + 1), 0))
  const counts = await spread(family, addresses)
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(COUNT)
  // All in one would be a chance of 1 in 32,768.
  for (const count of counts) expect(count).toBeGreaterThan(0)
})

test('the packet paths are scheduled before the rest of the daemon', () => {
  const tasks = `/proc/${sluice.process.pid}/task`
  const urgent = readdirSync(tasks).filter((task) => {
    const fields = readFileSync(`${tasks}/${task}/stat`, 'utf8').replace(/.*\) /, '').split(' ')
    // The 19th of proc_pid_stat(5), of which the first two are gone.
    return Number(fields[16]) === -10
  })
  expect(urgent).toHaveLength(2)
  expect(urgent).not.toContain(`${sluice.process.pid}`)
})

test('limits hold in full on each thread', async () => {
  for (const family of [4, 6] as const) {
    const client = { to: SERVER[family], port: 22, from: HONEST[family], timeoutMs: 500 }
    expect(await connections(scene.client, { ...client, count: 120 })).toBe(100)
  }
})
