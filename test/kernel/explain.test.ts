import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ExplainReport } from '../../src/control/requests/explain-report.ts'
import { EXIT } from '../../src/failure.ts'
import { eventually } from '../lib/eventually.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen } from '../lib/tcp.ts'

// With two threads an address has its buckets on one of them: explain has to look at the right one.
const POLICY = `
threads: 2
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 3, rate: 1/h}, network: {burst: 10, rate: 10/h}}
    ban: {strikes: 3, within: 10m}
metrics: off
`

let scene: Scene
let sluice: Sluice

beforeAll(async () => {
  scene = new Scene()
  await listen(scene.server, 22)
  sluice = await Sluice.start(scene.server, POLICY)
})

afterAll(() => scene.close())

test.each([4, 6] as const)('explain says what a connection then gets (IPv%d)', async (family) => {
  const attempts = (from: string, count: number) =>
    connections(scene.client, { to: SERVER[family], port: 22, from, count, timeoutMs: 400 })
  const explained = async (address: string) => {
    const { stdout } = await sluice.cli('explain', address, '--json')
    const { services, ...report } = JSON.parse(stdout) as ExplainReport
    return { ...report, ...services[0]! }
  }

  expect((await explained(ATTACKER[family])).next).toEqual({ verdict: 'accept', obstacles: [] })
  expect(await attempts(ATTACKER[family], 2)).toBe(2)
  expect((await explained(ATTACKER[family])).buckets).toMatchObject([
    { kind: 'source', tokens: expect.closeTo(1, 1) },
    { kind: 'network', tokens: expect.closeTo(8, 1) },
  ])
  expect(await attempts(ATTACKER[family], 3)).toBe(1)
  expect(await explained(ATTACKER[family])).toMatchObject({
    strikes: { count: 2, needed: 3 },
    next: { verdict: 'drop', obstacles: [{ by: 'source' }] },
  })

  expect(await attempts(ATTACKER[family], 1)).toBe(0)
  const banned = await eventually('he is banned', async () => {
    const report = await explained(ATTACKER[family])
    return report.bans.length === 1 && report
  })
  expect(banned).toMatchObject({ strikes: { count: 0 }, offences: { count: 1 } })
  expect(banned.next.obstacles.map(({ by }) => by)).toEqual(['ban', 'source'])
  expect((await explained(HONEST[family])).next.verdict).toBe('accept')

  expect((await sluice.cli('bans', 'remove', ATTACKER[family])).status).toBe(EXIT.ok)
  expect(await explained(ATTACKER[family])).toMatchObject({
    bans: [],
    offences: null,
    buckets: [{ tokens: 3 }, {}],
  })
  expect(await attempts(ATTACKER[family], 5)).toBe(3)
})

test('what is no address is refused', async () => {
  expect((await sluice.cli('explain', '192.0.2.0/24')).status).toBe(EXIT.usage)
})
