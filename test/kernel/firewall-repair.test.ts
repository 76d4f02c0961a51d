import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Host, Lab } from '../lib/lab.ts'
import { policy, service } from '../lib/policies.ts'
import { Agent, rulesOf, tools } from './firewall-host.ts'

const SERVICES = [
  service('ssh', 22),
  service('dns', 53, { ports: [{ protocol: 'udp', first: 53, last: 53 }] }),
]

const FLUSH = (tool: string) => `for t in raw mangle; do ${tool} -t $t -F; ${tool} -t $t -X; done`
const FIRST = '-A PREROUTING -p tcp -j ACCEPT'

/** What other programs do to us, and what `verify` has to say of it. */
const DAMAGE: [string, (tool: string, family: number) => string, (family: number) => string[]][] = [
  [
    'a removed jump',
    (tool) => `${tool} -t mangle -D PREROUTING -j SLUICE`,
    (family) => [`IPv${family}: nothing jumps to chain SLUICE in mangle`],
  ],
  [
    'a flushed chain',
    (tool) => `${tool} -t raw -F SLUICE-BAN`,
    (family) => [`IPv${family}: chain SLUICE-BAN in raw is empty`],
  ],
  [
    'a removed chain',
    (tool) => `${tool} -t mangle -F; ${tool} -t mangle -X SLUICE`,
    (family) => [`IPv${family}: chain SLUICE is missing in mangle`],
  ],
  [
    'tables flushed by a reload of firewalld or ufw',
    FLUSH,
    (family) => [
      `IPv${family}: chain SLUICE-BAN is missing in raw`,
      `IPv${family}: chain SLUICE is missing in mangle`,
    ],
  ],
  [
    'a rule before our jump',
    (tool) => `${tool} -t raw ${FIRST.replace('-A', '-I')}`,
    (family) => [`IPv${family}: the jump to chain SLUICE-BAN is not the first rule of raw PREROUTING`],
  ],
  [
    'a second jump',
    (tool) => `${tool} -t mangle -A OUTPUT -j SLUICE`,
    (family) => [`IPv${family}: more than one rule jumps to chain SLUICE in mangle`],
  ],
  [
    'a deleted rule',
    (tool) => `${tool} -t mangle -D SLUICE 1`,
    (family) => [`IPv${family}: the rules of chain SLUICE in mangle were changed`],
  ],
  [
    'a foreign rule in our chain',
    (tool) => `${tool} -t raw -I SLUICE-BAN -j ACCEPT`,
    (family) => [`IPv${family}: the rules of chain SLUICE-BAN in raw were changed`],
  ],
  [
    'a flushed allow set',
    (_, family) => `ipset flush sluice-allow-${family}`,
    (family) => [`set sluice-allow-${family} has 0 entries instead of 1`],
  ],
  [
    'a guest in the allow set',
    (_, family) => `ipset add sluice-allow-${family} ${family === 4 ? '203.0.113.1' : '2001:db8::2'}`,
    (family) => [`set sluice-allow-${family} has 2 entries instead of 1`],
  ],
  [
    'a destroyed ban set',
    (tool, family) => `${tool} -t raw -F SLUICE-BAN; ipset destroy sluice-ban-ssh-${family}`,
    (family) => [`IPv${family}: chain SLUICE-BAN in raw is empty`, `set sluice-ban-ssh-${family} is missing`],
  ],
  [
    'everything destroyed',
    (tool, family) =>
      `${FLUSH(tool)}; for s in $(ipset list -n | grep -- -${family}$); do ipset destroy $s; done`,
    (family) => [
      `IPv${family}: chain SLUICE-BAN is missing in raw`,
      `IPv${family}: chain SLUICE is missing in mangle`,
      ...['allow', 'ban-all', 'ban-ssh', 'ban-dns', 'hold-ssh', 'hold-dns'].map(
        (set) => `set sluice-${set}-${family} is missing`,
      ),
    ],
  ],
]

describe.each(['nft', 'legacy'] as const)('iptables-%s', (kind) => {
  let lab: Lab
  let host: Host
  let agent: Agent

  beforeEach(async () => {
    lab = Lab.create(['host'])
    host = lab.host('host')
    agent = new Agent(host)
    await agent.create(policy(SERVICES, { firewall: { backend: kind, checkMs: 5000 } }), [
      '192.0.2.1',
      '2001:db8::1',
    ])
    await agent.up()
  })

  afterEach(() => {
    agent.close()
    lab.close()
  })

  describe.each([4, 6])('IPv%i', (family) => {
    const tool = tools(kind)[family === 4 ? 0 : 1]

    test.each(DAMAGE)('%s: seen and mended', async (_, damage, problems) => {
      const sound = rulesOf(host, kind)
      const { setSizes } = await agent.verify()
      host.run('sh', '-ec', damage(tool, family))
      const seen = await agent.verify()
      expect(seen.problems).toEqual(problems(family))

      const { problems: mended, recreatedSets } = await agent.repair()
      expect(mended).toEqual(seen.problems)
      expect(recreatedSets).toEqual(Object.keys(setSizes).filter((name) => !(name in seen.setSizes)))
      expect(await agent.verify()).toMatchObject({ problems: [], setSizes })
      expect(rulesOf(host, kind).replace(`${FIRST}\n`, '')).toBe(sound)
    })
  })

  test('where nothing is wrong, nothing is done', async () => {
    const rules = host.run(`iptables-${kind}-save`, '-c')
    expect(await agent.repair()).toEqual({ problems: [], recreatedSets: [] })
    expect(host.run(`iptables-${kind}-save`, '-c').replace(/^#.*$/gm, '')).toBe(rules.replace(/^#.*$/gm, ''))
  })

  test('a flushed ban set shows in the sizes: the ledger knows what was in it', async () => {
    host.run('ipset', 'add', 'sluice-ban-ssh-4', '198.51.100.1', 'timeout', '600')
    expect((await agent.verify()).setSizes['sluice-ban-ssh-4']).toBe(1)
    host.run('ipset', 'flush', 'sluice-ban-ssh-4')
    expect((await agent.verify()).setSizes['sluice-ban-ssh-4']).toBe(0)
  })
})
