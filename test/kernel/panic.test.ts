import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { eventually } from '../lib/eventually.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Scratch } from '../lib/scratch.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen, TcpClient } from '../lib/tcp.ts'

const FAMILIES = [4, 6] as const

let scene: Scene
let state: Scratch
let sluice: Sluice

const policy = () => `
state: {directory: ${state.directory}}
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 5, rate: 5/h}}
    ban: {strikes: 5, within: 1m}
firewall: {check: 500ms}
`

beforeEach(async () => {
  scene = new Scene()
  state = new Scratch()
  await listen(scene.server, 22)
  sluice = await Sluice.start(scene.server, policy())
})

afterEach(() => {
  scene.close()
  state.close()
})

const attempts = (family: 4 | 6, from: string, count: number) =>
  connections(scene.client, { to: SERVER[family], port: 22, from, count, timeoutMs: 800 })

/** Chains and sets of ours that are in the kernel. */
function traces(): string {
  const rules = ['iptables-save', 'ip6tables-save'].map((save) => scene.server.run(save))
  return [...rules, scene.server.run('ipset', 'list', '-n')]
    .join('\n')
    .split('\n')
    .filter((line) => /sluice/i.test(line))
    .join('\n')
}

async function bothBanned(): Promise<void> {
  for (const family of FAMILIES) await attempts(family, ATTACKER[family], 12)
  await eventually('both are banned', async () => (await sluice.ask({ op: 'bans list' })).length === 2)
}

test('under attack: all bans are lifted and everybody passes, until resume', async () => {
  const attack = FAMILIES.map(
    (family) =>
      new TcpClient(scene.client, {
        to: SERVER[family],
        port: 22,
        from: ATTACKER[family],
        count: 0,
        everyMs: 30,
      }),
  )
  await eventually('both are banned', async () => (await sluice.ask({ op: 'bans list' })).length === 2)
  const result = await sluice.cli('panic', '--reason', 'locked out')
  expect(result).toMatchObject({ status: EXIT.ok, stderr: '' })
  expect(result.stdout).toContain('everything passes until "sluice resume"; lifted 2 bans')
  for (const family of FAMILIES) {
    expect(await attempts(family, ATTACKER[family], 12)).toBe(12)
    expect(await attempts(family, HONEST[family], 12)).toBe(12)
  }
  // Nothing puts the chains back, and a new policy waits.
  const check = await sluice.ask({ op: 'reload' })
  expect(check.pending).toEqual([])
  expect(traces()).toBe('')
  expect(await sluice.ask({ op: 'bans list' })).toEqual([])

  // Everything says so.
  expect((await sluice.cli('status')).stdout).toMatch(/^PANIC since \S+ \(locked out\)/)
  expect(await sluice.metric('sluice_panic')).toBe(1)
  expect(await sluice.http('/healthz')).toContain('PANIC since')
  expect(sluice.output).toMatch(/"level":"warn".*"event":"panic"/)
  expect((await sluice.cli('bans', 'add', ATTACKER[4])).status).toBe(EXIT.refused)
  expect((await sluice.cli('explain', ATTACKER[4])).stdout).toMatch(/^PANIC/)

  expect((await sluice.cli('resume')).status).toBe(EXIT.ok)
  await eventually('both are banned again', async () => (await sluice.ask({ op: 'bans list' })).length === 2)
  for (const client of attack) await client.close()
  for (const family of FAMILIES) expect(await attempts(family, ATTACKER[family], 2)).toBe(0)
  expect((await sluice.cli('resume')).status).toBe(EXIT.refused)
  expect(await sluice.metric('sluice_panic')).toBe(0)
  expect(await sluice.http('/healthz')).toBe('ok\n')
})

test('it survives kill -9, and its end a start', async () => {
  await bothBanned()
  await sluice.cli('panic')
  await sluice.stop('SIGKILL')
  sluice = await Sluice.start(scene.server, policy())
  expect((await sluice.status()).panic).toMatchObject({ reason: 'by hand', isRemembered: true })
  for (const family of FAMILIES) expect(await attempts(family, ATTACKER[family], 8)).toBe(8)
  expect(traces()).toBe('')
  expect((await sluice.cli('resume')).status).toBe(EXIT.ok)
  expect(await sluice.stop()).toBe(0)
  sluice = await Sluice.start(scene.server, policy())
  expect((await sluice.status()).panic).toBeNull()
  // The bans are lifted for good; the offences are remembered.
  expect(await sluice.ask({ op: 'bans list' })).toEqual([])
  const { stdout } = await sluice.cli('explain', ATTACKER[4], '--json')
  expect(JSON.parse(stdout)).toMatchObject({ offences: { count: 1 } })
})

test('without a daemon: chains and bans go, and the next start begins with panic', async () => {
  await bothBanned()
  sluice.signal('SIGKILL')
  await sluice.ended
  const result = await sluice.cli('panic', '--config', sluice.configFile)
  expect(result.status).toBe(EXIT.ok)
  expect(result.stdout).toContain('chains and bans are gone')
  expect(traces()).toBe('')
  sluice = await Sluice.start(scene.server, policy())
  expect((await sluice.status()).panic).not.toBeNull()
  expect(traces()).toBe('')
  sluice.signal('SIGKILL')
  await sluice.ended
  expect((await sluice.cli('resume', '--config', sluice.configFile)).status).toBe(EXIT.ok)
  expect((await sluice.cli('resume', '--config', sluice.configFile)).status).toBe(EXIT.unavailable)
  sluice = await Sluice.start(scene.server, policy())
  expect((await sluice.status()).panic).toBeNull()
  expect(traces()).not.toBe('')
})

test('a file made and removed by hand does the same', async () => {
  const file = `${state.directory}/panic`
  await bothBanned()
  writeFileSync(file, 'from the rescue system\n')
  await eventually('there is panic', async () => (await sluice.status()).panic !== null)
  await eventually('the chains are gone', () => traces() === '')
  expect(existsSync(file)).toBe(true)
  rmSync(file)
  // The chains come back after the mark has gone.
  await eventually('it is over', async () => {
    const { panic, firewall } = await sluice.status()
    return panic === null && firewall.inPlace
  })
  expect(await attempts(4, HONEST[4], 8)).toBe(5)
})
