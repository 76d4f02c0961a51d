import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../lib/eventually.ts'
import { guessPassword } from '../lib/guess-password.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Scratch } from '../lib/scratch.ts'
import { Sluice } from '../lib/sluice.ts'
import { Sshd } from '../lib/sshd.ts'
import { connections } from '../lib/tcp.ts'

const FAMILIES = [4, 6] as const
const SOURCES = { 4: HONEST[4], 6: '2001:db8:600d::/64' }
/** What a stranger may, and who is known good. */
const [FEW, MANY] = [3, 50]

let scene: Scene
let state: Scratch
let sshd: Sshd

beforeAll(async () => {
  scene = new Scene()
  state = new Scratch()
  sshd = await Sshd.start(scene.server)
})

afterAll(() => {
  scene.close()
  state.close()
})

const start = () =>
  Sluice.start(
    scene.server,
    `
state: {directory: ${state.path('sluice')}}
services:
  ssh:
    ports: [22]
    limits:
      source: {burst: ${FEW}, rate: 1/h}
      known: {burst: ${MANY}, rate: 1/h}
    failures: {tries: 5, forget: 30m}
    outcome: ssh
`,
  )
const attempts = (family: 4 | 6, from: string, count: number) =>
  connections(scene.client, { to: SERVER[family], port: 22, from, count, timeoutMs: 400 })
const explained = async (sluice: Sluice, address: string) => {
  const { services, sessions } = await sluice.ask({ op: 'explain', address })
  return { sessions, ...services[0]! }
}
const learned = async (sluice: Sluice) =>
  [...(await sluice.ask({ op: 'allow learned' }))].sort((a, b) => a.source.localeCompare(b.source))

/** All that sluice knows now is on the disk: the second transaction from here has begun after the first. */
async function written(sluice: Sluice): Promise<void> {
  const rows = () => sluice.metric('sluice_store_rows_written_total')
  for (const marker of ['192.0.2.201', '192.0.2.202']) {
    const before = await rows()
    expect((await sluice.cli('allow', 'add', marker)).status).toBe(0)
    await eventually('something is written', async () => (await rows()) > before)
  }
}

test('kill -9: who has logged in is known good at once, who has failed is known too, who is forgotten is not', async () => {
  const first = await start()
  for (const family of FAMILIES) {
    expect(await sshd.login(scene.client, HONEST[family], SERVER[family], 'seq 3000')).toBeDefined()
    expect(await guessPassword(scene.client, ATTACKER[family], SERVER[family])).toBe('refused')
  }
  const before = await eventually('both are known good', async () => {
    const rows = await learned(first)
    return rows.length === 2 && rows
  })
  for (const family of FAMILIES) {
    const failed = await eventually('a failed login is counted', async () => {
      const report = await explained(first, ATTACKER[family])
      return report.evidence.failures?.tries === 1 && report
    })
    expect(failed.sessions).toMatchObject([{ address: ATTACKER[family], outcome: 'failed', tries: 1 }])
    expect(failed.evidence).toMatchObject({ handshakes: { count: 1 }, trust: null })
    const { sessions } = await explained(first, HONEST[family])
    expect(sessions).toMatchObject([{ address: HONEST[family], outcome: 'succeeded', tries: null }])
  }
  await written(first)
  await first.stop('SIGKILL')

  const second = await start()
  const after = await learned(second)
  expect(after.map(({ source }) => source).sort()).toEqual(Object.values(SOURCES).sort())
  for (const [i, { source, successes, until }] of after.entries()) {
    expect({ source, successes }).toEqual({ source: before[i]!.source, successes: before[i]!.successes })
    expect(Math.abs(Date.parse(until) - Date.parse(before[i]!.until))).toBeLessThan(2000)
  }
  const { stdout } = await second.cli('allow', 'list', '--learned')
  for (const family of FAMILIES) {
    expect(stdout).toContain(SOURCES[family])
    expect(await attempts(family, HONEST[family], FEW + 5)).toBe(FEW + 5)
    expect((await explained(second, HONEST[family])).buckets).toMatchObject([{ kind: 'known', burst: MANY }])
    expect((await explained(second, ATTACKER[family])).evidence.failures).toMatchObject({ tries: 1 })
  }
  const known = 'sluice_packets_total{service="ssh",verdict="accept",reason="known-good"}'
  expect(await second.metric(known)).toBe(2 * (FEW + 5))

  expect((await second.cli('allow', 'forget', SOURCES[6])).status).toBe(0)
  expect(await second.stop()).toBe(0)
  const third = await start()
  expect((await learned(third)).map(({ source }) => source)).toEqual([SOURCES[4]])
  expect(await attempts(6, HONEST[6], FEW + 5)).toBe(FEW)
  expect(await attempts(4, HONEST[4], FEW + 5)).toBe(FEW + 5)
}, 120_000)
