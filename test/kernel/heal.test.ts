import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../lib/eventually.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { connections, listen } from '../lib/tcp.ts'
import { traces } from './firewall-host.ts'

/** What ufw, firewalld or an administrator may do; TOOL is iptables of either family. */
const DAMAGES = [
  { what: 'the chain in raw is flushed', commands: ['TOOL -t raw -F SLUICE-BAN'] },
  { what: 'PREROUTING of mangle is flushed', commands: ['TOOL -t mangle -F PREROUTING'] },
  {
    what: 'both chains are gone',
    commands: ['-F', '-X'].flatMap((f) => [`TOOL -t raw ${f}`, `TOOL -t mangle ${f}`]),
  },
  { what: 'all sets are flushed', commands: ['ipset flush'] },
  { what: 'all rules and sets are gone', commands: ['TOOL -t raw -F', 'TOOL -t mangle -F', 'ipset destroy'] },
]

describe.each(['nft', 'legacy'] as const)('with iptables-%s', (backend) => {
  let scene: Scene
  let sluice: Sluice

  beforeAll(async () => {
    scene = new Scene()
    await listen(scene.server, 22)
    const policy = `
allow: [${HONEST[4]}, "${HONEST[6]}"]
services:
  ssh: {ports: [22], limits: {source: {burst: 1, rate: 1/h}}}
firewall: {backend: ${backend}}
`
    sluice = await Sluice.start(scene.server, policy)
    for (const family of [4, 6] as const) await sluice.ask({ op: 'bans add', prefix: ATTACKER[family] })
  })

  afterAll(() => scene.close())

  test.each(DAMAGES)('$what: all is back within 5 s, and counted', async ({ commands }) => {
    const before = traces(scene.server)
    const repairs = await sluice.metric('sluice_firewall_repairs_total')
    for (const command of commands) {
      const tools = command.startsWith('TOOL') ? [`iptables-${backend}`, `ip6tables-${backend}`] : ['']
      for (const tool of tools) scene.server.run('sh', '-c', command.replace('TOOL', tool))
    }
    await eventually('the repair', async () => (await sluice.status()).firewall.repairs > repairs, {
      withinMs: 5000,
    })
    expect(traces(scene.server)).toBe(before)
    for (const family of [4, 6] as const) {
      const client = { to: SERVER[family], port: 22, timeoutMs: 400 }
      expect(await connections(scene.client, { ...client, from: ATTACKER[family] })).toBe(0)
      expect(await connections(scene.client, { ...client, from: HONEST[family], count: 5 })).toBe(5)
    }
    expect(await sluice.metric('sluice_firewall_repairs_total')).toBeGreaterThan(repairs)
    expect(sluice.output).toContain('put back what somebody had removed')
  })
})
