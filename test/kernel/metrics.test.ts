import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../lib/eventually.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen, TcpClient } from '../lib/tcp.ts'

const POLICY = `
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 3, rate: 1/h}}
    ban: {strikes: 2, within: 1m}
  smtp: {ports: [25], mode: shadow, limits: {source: {burst: 1000, rate: 1000/s}}}
`

/** Opens 200 connections that send half a request, or none, and never read: for as long as it lives. */
const SLOW_CLIENT = `
const { connect } = require('node:net')
const open = () => connect(9713, '127.0.0.1', function () { this.pause().write(Math.random() < 0.5 ? 'GET /met' : '') })
  .on('error', () => {}).on('close', open)
for (let i = 0; i < 200; i++) open()
console.log('open')
`

let scene: Scene
let sluice: Sluice

beforeAll(async () => {
  scene = new Scene()
  await listen(scene.server, 22, 25)
  sluice = await Sluice.start(scene.server, POLICY)
})

afterAll(() => scene.close())

test('after traffic, refusals and bans, promtool finds nothing to complain about', async () => {
  for (const family of [4, 6] as const) {
    const client = { to: SERVER[family], from: ATTACKER[family], port: 22 }
    // Within the burst, so that the address is proven; then refused.
    await connections(scene.client, { ...client, count: 3 })
    await connections(scene.client, { ...client, count: 7, timeoutMs: 300 })
  }
  await eventually('both are banned', async () => (await sluice.ask({ op: 'bans list' })).length === 2)
  const metrics = await sluice.http('/metrics')
  expect(
    execFileSync('promtool', ['check', 'metrics'], { input: metrics, encoding: 'utf8', stdio: 'pipe' }),
  ).toBe('')
  for (const family of ['ipv4', 'ipv6']) {
    expect(metrics).toContain(`sluice_bans_total{service="ssh",family="${family}"} 1`)
  }
  expect(metrics).toMatch(/sluice_packets_total\{service="ssh",verdict="drop",reason="source-limit"\} [1-9]/)
  expect(metrics).not.toMatch(/203\.0\.113|2001:db8/)
  expect(await sluice.http('/healthz')).toBe('ok\n')
})

test('clients that are slow at the metrics port do not disturb the path', async () => {
  const slow = scene.server.spawn(process.execPath, ['-e', SLOW_CLIENT], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise((resolve) => slow.stdout!.once('data', resolve))
  const client = { to: SERVER[4], port: 25, from: HONEST[4], count: 200, everyMs: 5 }
  const outcomes = await TcpClient.connect(scene.client, client)
  expect(outcomes.filter(({ ok, ms }) => !ok || ms > 900)).toEqual([])
  expect((await sluice.status()).threads.live).toBe(1)
  slow.kill('SIGKILL')
  expect(await sluice.http('/healthz')).toBe('ok\n')
})
