import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { eventually } from '../lib/eventually.ts'
import { HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { listen, TcpClient } from '../lib/tcp.ts'

const QUEUE_LENGTH = 16

const policy = (backend: string) => `
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 1000, rate: 1000/s}}
queue: {length: ${QUEUE_LENGTH}}
firewall: {backend: ${backend}, check: 200ms}
`

const CASES = (['nft', 'legacy'] as const).flatMap((backend) =>
  ([4, 6] as const).map((family) => ({ backend, family })),
)

describe.each(CASES)('over IPv$family with iptables-$backend', ({ backend, family }) => {
  let scene: Scene

  beforeEach(async () => {
    scene = new Scene()
    await listen(scene.server, 22)
  })

  afterEach(() => scene.close())

  const client = (count: number, everyMs: number, timeoutMs = 10_000) =>
    new TcpClient(scene.client, {
      to: SERVER[family],
      port: 22,
      from: HONEST[family],
      count,
      everyMs,
      timeoutMs,
    })

  test('while the path is paused, packets beyond the queue pass, and are counted afterwards', async () => {
    const sluice = await Sluice.start(scene.server, policy(backend))
    sluice.signal('SIGSTOP')
    const { outcomes } = client(100, 0)
    await eventually('all but the queued ones pass', () => outcomes.length === 100 - QUEUE_LENGTH)
    const slowest = Math.max(...outcomes.map(({ ms }) => ms))
    expect(slowest).toBeLessThan(900)

    sluice.signal('SIGCONT')
    await eventually('the queued ones pass too', () => outcomes.length === 100)
    expect(outcomes.every(({ ok }) => ok)).toBe(true)
    await eventually('the metric shows them', async () => {
      const bypassed = await sluice.metric('sluice_queue_bypassed_packets_total{queue="9713"}')
      return bypassed >= 100 - QUEUE_LENGTH
    })
  })

  test('a throw in the path costs no packet; the thread is started again, and all is counted', async () => {
    const sluice = await Sluice.start(scene.server, policy(backend), {
      env: { SLUICE_FAULT_AT_PACKET: '40' },
    })
    const { outcomes } = client(100, 5)
    await eventually('all connections are open', () => outcomes.length === 100, { withinMs: 20_000 })
    expect(outcomes.filter(({ ok }) => !ok)).toEqual([])

    const { threads } = await eventually('the thread is back', async () => {
      const status = await sluice.status()
      return status.threads.live === 1 && status.threads.restarts > 0 && status
    })
    expect(await sluice.metric('sluice_path_thread_restarts_total')).toBe(threads.restarts)
    const faults = 'sluice_packets_total{service="none",verdict="accept",reason="fault"}'
    expect(await sluice.metric(faults)).toBeGreaterThanOrEqual(threads.restarts)
    expect(sluice.output).toMatch(/path thread of queue 9713 has died and is started again: fault injected/)
  })
})
