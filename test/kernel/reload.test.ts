import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { eventually } from '../lib/eventually.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen, TcpClient } from '../lib/tcp.ts'

const FAMILIES = [4, 6] as const

describe.each(['nft', 'legacy'])('with iptables-%s', (backend) => {
  let scene: Scene
  let sluice: Sluice

  const policy = (more: string) => `
firewall: {backend: ${backend}}
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 3, rate: 1/h}}
    ban: {strikes: 200, within: 1m}
  smtp:
    ports: [25]
    limits: {source: {burst: 1000, rate: 1000/s}}
${more}`

  const SUBMISSION = `  submission: {ports: [587], limits: {source: {burst: 1, rate: 1/h}}}\n`
  const RELOADS: Record<string, () => Promise<void>> = {
    SIGHUP: async () => {
      const { lastReload } = await sluice.status()
      sluice.signal('SIGHUP')
      await eventually('the reload', async () => (await sluice.status()).lastReload?.at !== lastReload?.at)
    },
    'sluice reload': async () => {
      expect((await sluice.cli('reload')).status).toBe(EXIT.ok)
    },
  }

  const passed = (family: 4 | 6, from: string, port: number, count = 1) =>
    connections(scene.client, { to: SERVER[family], port, from, count, timeoutMs: 400 })

  beforeEach(async () => {
    scene = new Scene()
    await listen(scene.server, 22, 25, 587)
    sluice = await Sluice.start(scene.server, policy(''))
  })

  afterEach(() => scene.close())

  test.each(Object.keys(RELOADS))(
    '%s brings a new service and keeps what each source has used up',
    async (how) => {
      for (const family of FAMILIES) expect(await passed(family, ATTACKER[family], 22, 5)).toBe(3)
      sluice.write(policy(SUBMISSION))
      await RELOADS[how]!()
      for (const family of FAMILIES) {
        expect(await passed(family, ATTACKER[family], 22)).toBe(0)
        expect(await passed(family, HONEST[family], 22)).toBe(1)
        expect(await passed(family, HONEST[family], 587, 3)).toBe(1)
      }
      expect((await sluice.status()).services.map(({ name }) => name)).toEqual(['ssh', 'smtp', 'submission'])
    },
  )

  test('no packet is lost over many reloads while clients hammer', async () => {
    const clients = FAMILIES.map(
      (family) =>
        new TcpClient(scene.client, {
          to: SERVER[family],
          port: 25,
          from: HONEST[family],
          count: 0,
          everyMs: 10,
        }),
    )
    const isHammered = () => clients.every(({ outcomes }) => outcomes.length > 50)
    for (let i = 0; i < 8 || !isHammered(); i++) {
      sluice.write(policy(i % 2 === 0 ? SUBMISSION : ''))
      await sluice.ask({ op: 'reload' })
    }
    for (const client of clients) {
      await client.close()
      // A lost SYN would have been sent again after a second.
      expect(client.outcomes.filter(({ ok, ms }) => !ok || ms > 900)).toEqual([])
    }
    const { accepted } = (await sluice.status()).services.find(({ name }) => name === 'smtp')!
    const opened = clients.reduce((sum, { outcomes }) => sum + outcomes.length, 0)
    expect(accepted).toBeGreaterThanOrEqual(opened)
  })

  test('a bad policy is refused with line and column, and the old one stays', async () => {
    sluice.write(policy('  submission: {port: [587]}\n'))
    const refused = await sluice.cli('reload')
    expect(refused.status).toBe(EXIT.config)
    expect(refused.stderr).toMatch(/sluice\.yaml:\d+:\d+: .*port.*did you mean "ports"/)
    sluice.signal('SIGHUP')
    await eventually(
      'both are counted',
      async () => (await sluice.metric('sluice_reloads_total{result="refused"}')) === 2,
    )
    expect(sluice.output).toMatch(/"event":"reload-refused"/)
    expect((await sluice.status()).lastReload?.ok).toBe(false)
    expect(await passed(4, ATTACKER[4], 22, 5)).toBe(3)
  })

  test('allow add lets a banned source through at once, allow remove limits it again', async () => {
    for (const family of FAMILIES) {
      const source = ATTACKER[family]
      expect((await sluice.cli('bans', 'add', source, '--for', '1h', '--reason', 'a test')).status).toBe(
        EXIT.ok,
      )
      expect(await passed(family, source, 22)).toBe(0)

      const added = await sluice.cli('allow', 'add', source, '--reason', 'a friend')
      expect(added).toMatchObject({ status: EXIT.ok, stderr: '' })
      expect(await passed(family, source, 22, 10)).toBe(10)
      expect((await sluice.cli('allow', 'list')).stdout).toMatch(new RegExp(`${source} .*a friend`))

      expect((await sluice.cli('allow', 'remove', source)).status).toBe(EXIT.ok)
      await sluice.cli('bans', 'remove', source)
      expect(await passed(family, source, 22, 10)).toBe(3)
      expect((await sluice.cli('allow', 'remove', source)).status).toBe(EXIT.refused)
    }
  })

  test('a source that the new policy allows is no longer banned', async () => {
    await sluice.ask({ op: 'bans add', prefix: ATTACKER[4] })
    sluice.write(`${policy('')}\nallow: [${ATTACKER[4]}]\n`)
    expect(await sluice.ask({ op: 'reload' })).toMatchObject({ lifted: 1 })
    expect(await passed(4, ATTACKER[4], 22, 10)).toBe(10)
    expect(await sluice.ask({ op: 'bans list' })).toEqual([])
  })
})
