import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { eventually } from '../lib/eventually.ts'
import { HONEST, Scene, SERVER } from '../lib/scene.ts'
import type { Scratch } from '../lib/scratch.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen } from '../lib/tcp.ts'

const FAMILIES = [4, 6] as const

let scene: Scene
let scratch: Scratch
let sluice: Sluice
let strict: string

/** The honest client may do a lot, or is banned at his second attempt. */
const policy = (burst: number) => `
services:
  ssh:
    ports: [22]
    limits: {source: {burst: ${burst}, rate: ${burst}/min}}
    ban: {strikes: 1, within: 1m}
`

beforeEach(async () => {
  scene = new Scene()
  await listen(scene.server, 22)
  sluice = await Sluice.start(scene.server, policy(1000))
  scratch = scene.server.scratch()
  strict = scratch.path('strict.yaml')
  writePolicy(strict, policy(1))
})

afterEach(() => scene.close())

/** What does not concern limits is as in the policy file. */
function writePolicy(file: string, text: string): void {
  scene.server.run(
    'sh',
    '-c',
    'printf "%s" "$1" > "$2"',
    'sh',
    `${text}\nstate: off\ncontrol: {socket: ${sluice.socket}}\n`,
    file,
  )
}

const attempts = (family: 4 | 6, count: number) =>
  connections(scene.client, { to: SERVER[family], port: 22, from: HONEST[family], count, timeoutMs: 400 })

async function lockedOut(): Promise<void> {
  for (const family of FAMILIES) await attempts(family, 4)
  await eventually('he is banned', async () => (await sluice.ask({ op: 'bans list' })).length === 2)
  for (const family of FAMILIES) expect(await attempts(family, 1)).toBe(0)
}

test('a policy that locks its administrator out goes back by itself, and lifts its bans', async () => {
  const applied = await sluice.cli('apply', strict, '--confirm', '10s')
  expect(applied).toMatchObject({ status: EXIT.ok, stderr: '' })
  expect(applied.stdout).toContain('goes back in 10s')
  expect((await sluice.status()).trial).toMatchObject({ file: strict })
  expect(await sluice.metric('sluice_policy_on_trial')).toBe(1)
  expect((await sluice.cli('apply', strict, '--confirm', '10s')).status).toBe(EXIT.refused)
  await lockedOut()

  await eventually('it has gone back', async () => (await sluice.status()).trial === null, {
    withinMs: 30_000,
  })
  expect(await sluice.ask({ op: 'bans list' })).toEqual([])
  for (const family of FAMILIES) expect(await attempts(family, 20)).toBe(20)
  expect((await sluice.cli('confirm')).status).toBe(EXIT.refused)
})

test('it is the old policy that counts after kill -9 in the middle of a trial', async () => {
  await sluice.cli('apply', strict, '--confirm', '1h')
  await attempts(4, 2)
  const { configFile } = sluice
  const old = readFileSync(configFile, 'utf8')
  sluice.signal('SIGKILL')
  await sluice.ended
  expect(readFileSync(configFile, 'utf8')).toBe(old)
  sluice = await Sluice.start(scene.server, old.replace(/^control:.*$/m, ''))
  expect((await sluice.status()).trial).toBeNull()
  expect(await attempts(6, 20)).toBe(20)
})

test('confirmed, it stays, and the policy file is the new one', async () => {
  await sluice.cli('apply', strict, '--confirm', '8s')
  const confirmed = await sluice.cli('confirm')
  expect(confirmed).toMatchObject({ status: EXIT.ok, stderr: '' })
  expect(readFileSync(sluice.configFile, 'utf8')).toBe(readFileSync(strict, 'utf8'))
  await new Promise((resolve) => setTimeout(resolve, 9000))
  await lockedOut()
  expect((await sluice.cli('reload')).status).toBe(EXIT.ok)
  expect(await attempts(4, 1)).toBe(0)
})

test('reload ends a trial at once; without --confirm it is for good; errors are those of check', async () => {
  await sluice.cli('apply', strict, '--confirm', '1h')
  await lockedOut()
  expect((await sluice.cli('reload')).status).toBe(EXIT.ok)
  expect(await sluice.ask({ op: 'bans list' })).toEqual([])
  for (const family of FAMILIES) expect(await attempts(family, 5)).toBe(5)

  expect(await sluice.cli('apply', strict)).toMatchObject({ status: EXIT.ok, stderr: '' })
  expect((await sluice.status()).trial).toBeNull()
  await lockedOut()

  writePolicy(strict, policy(1).replace('burst', 'brust'))
  const refused = await sluice.cli('apply', strict, '--confirm', '1h')
  expect(refused.status).toBe(EXIT.config)
  expect(refused.stderr).toMatch(/strict\.yaml:\d+:\d+: .*did you mean "burst"/)
  expect((await sluice.cli('apply', sluice.configFile)).status).toBe(EXIT.usage)
})
