import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Policy } from '../../src/config/policy.ts'
import { EXIT } from '../../src/failure.ts'
import { type Host, Lab } from '../lib/lab.ts'
import { policy, service } from '../lib/policies.ts'
import { Agent, chain, rulesOf, tools, traces } from './firewall-host.ts'

const ssh = service('ssh', 22)
const dns = service('dns', 53, {
  ports: [
    { protocol: 'tcp', first: 53, last: 53 },
    { protocol: 'udp', first: 53, last: 53 },
  ],
})
const ALLOWED = ['192.0.2.0/24', '2001:db8::/32']

const JUMPS = [
  ['raw', 'SLUICE-BAN', 'PREROUTING'],
  ['raw', 'SLUICE-OUT', 'OUTPUT'],
  ['mangle', 'SLUICE', 'PREROUTING'],
  ['mangle', 'SLUICE-OUT', 'OUTPUT'],
] as const

/** Every rule that there can be. */
const EVERYTHING: Partial<Policy['dns']> = {
  notrack: true,
  unsolicited: { alarmPerSecond: 10 },
  induced: { alarmPerHour: 1000, ban: undefined },
  slip: 2,
}

/** What an administrator and other programs may have in every table, with chains and sets of their own. */
function addForeignRules(host: Host, tool: string): void {
  const foreign = [
    '-t raw -N THEIRS',
    '-t raw -A PREROUTING -p udp --dport 123 -j THEIRS',
    '-t raw -A THEIRS -m comment --comment "do not -j SLUICE" -j RETURN',
    '-t mangle -N SLUICE-OF-SOMEBODY-ELSE',
    '-t mangle -A PREROUTING -p tcp --dport 80 -j MARK --set-mark 7',
    '-t mangle -A PREROUTING -j SLUICE-OF-SOMEBODY-ELSE',
    '-t mangle -A POSTROUTING -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu',
    '-t nat -A PREROUTING -p tcp --dport 8022 -j REDIRECT --to-ports 22',
    '-A INPUT -p tcp --dport 25 -j DROP',
    '-P FORWARD DROP',
  ]
  for (const rule of foreign) host.run('sh', '-c', `${tool} ${rule}`)
}

describe.each(['nft', 'legacy'] as const)('iptables-%s', (kind) => {
  let lab: Lab
  let host: Host
  let agent: Agent

  const make = (services = [ssh, dns], changes: Partial<Policy> = {}) =>
    policy(services, { firewall: { backend: kind, checkMs: 5000 }, dns: EVERYTHING, ...changes })

  beforeEach(() => {
    lab = Lab.create(['host'])
    host = lab.host('host')
    agent = new Agent(host)
  })

  afterEach(() => {
    agent.close()
    lab.close()
  })

  async function up(services = [ssh, dns], allowed = ALLOWED): Promise<void> {
    await agent.create(make(services), allowed)
    await agent.up()
  }

  test('the jumps come first, our rules as we wrote them, the foreign ones untouched', async () => {
    for (const tool of tools(kind)) addForeignRules(host, tool)
    const before = rulesOf(host, kind)
    await up()
    for (const tool of tools(kind)) {
      for (const [table, own, hook] of JUMPS) {
        expect(chain(host, tool, table, hook)[0]).toBe(`-j ${own}`)
        expect(chain(host, tool, table, own).length).toBeGreaterThan(0)
      }
    }
    const ours =
      /^(:SLUICE(-BAN|-OUT)? .*|-A SLUICE(-BAN|-OUT)? .*|-A (PREROUTING|OUTPUT) -j SLUICE(-BAN|-OUT)?)\n/gm
    expect(rulesOf(host, kind).replace(ours, '')).toBe(before)

    await agent.takeDown()
    expect(rulesOf(host, kind)).toBe(before)
    expect(host.run('ipset', 'list', '-n')).toBe('')
  })

  test('the tool prints our rules exactly as we write them', async () => {
    await up()
    const fresh = new Agent(host)
    await fresh.create(make())
    expect((await fresh.verify()).problems).toEqual([])
    await fresh.create(make([ssh, dns], { threads: 3 }))
    expect((await fresh.verify()).problems).toEqual([
      'IPv4: the rules of chain SLUICE in mangle were changed',
      'IPv4: the rules of chain SLUICE-OUT in mangle were changed',
      'IPv6: the rules of chain SLUICE in mangle were changed',
      'IPv6: the rules of chain SLUICE-OUT in mangle were changed',
    ])
    await fresh.up()
    await fresh.create(make([ssh, dns], { threads: 3 }))
    expect((await fresh.verify()).problems).toEqual([])
    fresh.close()
  })

  test('on a bare host, down leaves no trace, and a second down finds nothing', async () => {
    const before = traces(host)
    await up()
    expect(traces(host)).not.toBe(before)
    expect(await agent.takeDown()).not.toEqual([])
    expect(traces(host)).toBe(before)
    expect(await agent.takeDown()).toEqual([])
  })

  test('up twice is up once', async () => {
    await up()
    const once = traces(host)
    await agent.up()
    expect(traces(host)).toBe(once)
    await up()
    expect(traces(host)).toBe(once)
  })

  test('bans outlive up, and "down --keep-bans"; allow sets do not', async () => {
    await up()
    host.run('ipset', 'add', 'sluice-ban-ssh-4', '198.51.100.7', 'timeout', '600')
    host.run('ipset', 'add', 'sluice-ban-all-6', '2001:db8:7::/64', 'timeout', '600')
    await agent.takeDown(true)
    expect(rulesOf(host, kind)).not.toContain('SLUICE')
    expect(host.run('ipset', 'list', '-n')).not.toContain('allow')
    await up()
    expect((await agent.verify()).setSizes).toMatchObject({ 'sluice-ban-ssh-4': 1, 'sluice-ban-all-6': 1 })
    expect(host.run('ipset', 'list', 'sluice-ban-ssh-4')).toMatch(/198\.51\.100\.7 timeout (59\d|600)/)
  })

  test('ban sets get a new size at the next start, and keep the bans that last longest', async () => {
    await up()
    host.run('ipset', 'add', 'sluice-ban-ssh-4', '198.51.100.1', 'timeout', '600')
    host.run('ipset', 'add', 'sluice-ban-ssh-4', '198.51.100.2', 'timeout', '6000')
    await agent.takeDown(true)
    await agent.create(make([ssh], { ban: { ...make().ban, maxEntries: 1 } }))
    await agent.up()
    const listed = host.run('ipset', 'list', 'sluice-ban-ssh-4')
    expect(listed).toContain('maxelem 1 ')
    expect(listed).toContain('198.51.100.2')
    expect(listed).not.toContain('198.51.100.1 ')
  })

  test('down removes what older policies and other processes left, but no set of others', async () => {
    host.run('ipset', 'create', 'their-sluice-ban', 'hash:ip')
    const before = traces(host)
    await up()
    host.run('ipset', 'create', 'sluice-ban-gone-4', 'hash:net', 'timeout', '0')
    for (const tool of tools(kind))
      host.run(tool, '-t', 'mangle', '-A', 'OUTPUT', '-p', 'tcp', '-j', 'SLUICE')
    agent.close()
    agent = new Agent(host)
    await agent.takeDown()
    expect(traces(host)).toBe(before)
  })

  test('down names the set that a foreign rule still uses, and removes the rest', async () => {
    await up()
    host.run(`iptables-${kind}`, ...'-A INPUT -m set --match-set sluice-ban-ssh-4 src -j DROP'.split(' '))
    await expect(agent.takeDown()).rejects.toMatchObject({
      status: EXIT.osError,
      message: expect.stringMatching(/sluice-ban-ssh-4.*in use/),
    })
    expect(host.run('ipset', 'list', '-n')).toBe('sluice-ban-ssh-4\n')
  })

  test('what the other back end still has of us is removed: nothing is queued twice', async () => {
    await up()
    const other = kind === 'nft' ? 'legacy' : 'nft'
    await agent.create(policy([ssh], { firewall: { backend: other, checkMs: 5000 } }))
    await agent.up()
    expect(rulesOf(host, other)).toContain('-j NFQUEUE')
    expect(rulesOf(host, kind)).not.toContain('SLUICE')
  })

  test('allow sets hold exactly what they are told', async () => {
    await up()
    await agent.setAllowed(['192.0.2.0/24', '203.0.113.9', 'fd00::1'])
    const members = (set: string) =>
      host
        .run('ipset', 'save', set)
        .match(/(?<=^add \S+ )\S+/gm)
        ?.sort() ?? []
    expect(members('sluice-allow-4')).toEqual(['192.0.2.0/24', '203.0.113.9'])
    expect(members('sluice-allow-6')).toEqual(['fd00::1'])
    expect((await agent.verify()).problems).toEqual([])
  })

  describe('a new policy', () => {
    test('brings the sets of its services, and takes those of services that are gone', async () => {
      await up([ssh, dns])
      host.run('ipset', 'add', 'sluice-ban-ssh-4', '198.51.100.7', 'timeout', '600')
      await agent.apply(make([ssh, service('smtp', 25)]))
      const { problems, setSizes } = await agent.verify()
      expect(problems).toEqual([])
      expect(setSizes).toMatchObject({ 'sluice-ban-ssh-4': 1, 'sluice-ban-smtp-6': 0, 'sluice-allow-4': 1 })
      expect(Object.keys(setSizes).filter((name) => name.includes('dns'))).toEqual([])
    })

    test('is swapped in without a moment in which bans do not hold', async () => {
      lab.close()
      lab = Lab.create(['host', 'banned'])
      host = lab.host('host')
      agent = new Agent(host)
      await up()
      for (const tool of tools(kind)) host.run(tool, '-A', 'INPUT', '-p', 'udp', '--dport', '7777')
      const arrived = () => tools(kind).map((tool) => packetsOf(host, tool, 'INPUT'))
      const flood = (seconds: number) => floodFrom(lab.host('banned'), host, seconds)

      await flood(0.2)
      expect(Math.min(...arrived())).toBeGreaterThan(20)

      host.run('ipset', 'add', 'sluice-ban-all-4', lab.host('banned').ipv4)
      host.run('ipset', 'add', 'sluice-ban-all-6', lab.host('banned').ipv6)
      const before = arrived()
      const flooding = flood(2.5)
      const services = [
        [ssh, service('smtp', 25)],
        [ssh, dns],
      ]
      for (let i = 0; i < 12; i++) await agent.apply(make(services[i % 2]))
      await flooding
      expect(arrived()).toEqual(before)
    })
  })
})

/** Packets that the first rule of a chain in `filter` has counted. */
function packetsOf(host: Host, tool: string, name: string): number {
  const saved = host.run(`${tool}-save`, '-c', '-t', 'filter')
  return Number(new RegExp(`^\\[(\\d+):\\d+\\] -A ${name} `, 'm').exec(saved)?.[1])
}

/** About a thousand datagrams a second over each family. */
async function floodFrom(sender: Host, target: Host, seconds: number): Promise<void> {
  const script = `
import socket, time
sockets = [(socket.socket(f, socket.SOCK_DGRAM), a) for f, a in
           ((socket.AF_INET, '${target.ipv4}'), (socket.AF_INET6, '${target.ipv6}'))]
end = time.monotonic() + ${seconds}
while time.monotonic() < end:
    for s, a in sockets: s.sendto(b'x', (a, 7777))
    time.sleep(0.001)
`
  const { status, stderr } = await sender.attempt('python3', '-c', script)
  if (status !== 0) throw new Error(stderr)
}
