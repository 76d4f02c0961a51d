import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseSave } from '../../src/firewall/tables.ts'
import type { Family } from '../../src/net/prefix.ts'
import { eventually } from '../lib/eventually.ts'
import { Hydra } from '../lib/hydra.ts'
import { Postfix } from '../lib/postfix.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { Sshd } from '../lib/sshd.ts'

const STRIKES = 3
const SMTP_LOGIN = new URL('../lib/smtp-login.mjs', import.meta.url).pathname

const service = (name: string, ports: string) => `
  ${name}:
    ports: [${ports}]
    limits: {source: {burst: 6, rate: 1/s}}
    ban: {strikes: ${STRIKES}, within: 1m}`
const POLICY = `
services: ${service('ssh', '22')} ${service('smtp', '25')} ${service('submission', '465, 587')}
ban: {first: 5m}
`

const TARGETS = [
  { service: 'ssh', scheme: 'ssh', port: 22 },
  { service: 'smtp', scheme: 'smtp', port: 25 },
  { service: 'submission', scheme: 'smtp', port: 587 },
]
const CASES = TARGETS.flatMap((target) => ([4, 6] as const).map((family) => ({ ...target, family })))

describe.each(['nft', 'legacy'])('with iptables-%s', (backend) => {
  let scene: Scene
  let sshd: Sshd
  let sluice: Sluice

  beforeAll(async () => {
    scene = new Scene()
    sshd = await Sshd.start(scene.server)
    await Postfix.start(scene.server)
    sluice = await Sluice.start(scene.server, `${POLICY}\nfirewall: {backend: ${backend}}\n`)
  })

  afterAll(() => scene.close())

  async function login(port: number, family: Family): Promise<boolean> {
    if (port === 22) return (await sshd.login(scene.client, HONEST[family], SERVER[family])) !== undefined
    const args = [SERVER[family], String(port), HONEST[family], 'alice@example.test', 'right']
    return (await scene.client.attempt(process.execPath, SMTP_LOGIN, ...args)).status === 0
  }

  async function counts(service: string) {
    const status = await sluice.status()
    const { strikes, accepted, refused } = status.services.find(({ name }) => name === service)!
    return { strikes, accepted, refused, received: status.queues[0]!.received }
  }

  /** Packets that the rule of the ban set has dropped. */
  function dropped(service: string, family: Family): number {
    const command = `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}-save`
    const { rules = [] } = parseSave({ raw: scene.server.run(command, '-c', '-t', 'raw') }).raw
    return rules.find(({ text }) => text.includes(`sluice-ban-${service}-${family} `))!.packets
  }

  async function isBanned(service: string, family: Family): Promise<boolean> {
    const test = ['test', `sluice-ban-${service}-${family}`, ATTACKER[family]]
    return (await scene.server.attempt('ipset', ...test)).status === 0
  }

  test.each(CASES)(
    'port $port over IPv$family: hydra is banned, and the honest client logs in all the while',
    async ({ service, scheme, port, family }) => {
      const before = await counts(service)
      const address = family === 4 ? SERVER[4] : `[${SERVER[6]}]`
      const hydra = new Hydra(scene.client, `${scheme}://${address}:${port}`)
      const logins = [await login(port, family)]

      // The strike that earns the ban falls after the last look that has seen fewer.
      let lastBeforeMs = performance.now()
      await eventually('the ban is earned', async () => {
        const lookedMs = performance.now()
        if ((await counts(service)).strikes >= before.strikes + STRIKES) return true
        lastBeforeMs = lookedMs
        return false
      })
      await eventually('the source is in the ban set', () => isBanned(service, family), { withinMs: 3000 })
      expect(performance.now() - lastBeforeMs).toBeLessThan(2000)
      logins.push(await login(port, family))

      // Hydra goes on, and the honest client waits: nothing reaches the queue.
      const atBan = await counts(service)
      const droppedAtBan = dropped(service, family)
      await eventually('the ban drops packets', () => dropped(service, family) >= droppedAtBan + 5)
      expect(await counts(service)).toEqual(atBan)

      logins.push(await login(port, family), await login(port, family))
      expect(await isBanned(service, family)).toBe(true)
      expect(logins).not.toContain(false)
      await hydra.close()
      await sluice.ask({ op: 'bans remove', prefix: ATTACKER[family] })
    },
  )
})
