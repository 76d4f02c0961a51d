import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { type Host, Lab } from '../lib/lab.ts'
import { policy, service } from '../lib/policies.ts'
import { Agent, rulesOf, traces } from './firewall-host.ts'

const ssh = service('ssh', 22)
const KINDS = ['nft', 'legacy'] as const

let lab: Lab
let host: Host
let agent: Agent | undefined
let directory: string

beforeEach(() => {
  lab = Lab.create(['host'])
  host = lab.host('host')
  directory = mkdtempSync(join(tmpdir(), 'sluice-firewall-'))
})

afterEach(() => {
  agent?.close()
  lab.close()
  rmSync(directory, { recursive: true })
})

/** An agent in a host where `prepare` was done, in its own mount name space: this machine does not see it. */
function start(prepare?: string, launcher?: string): Agent {
  agent = new Agent(host, prepare, launcher)
  return agent
}

describe.each(KINDS)('iptables-%s', (kind) => {
  const make = (services = [ssh]) => policy(services, { firewall: { backend: kind, checkMs: 5000 } })

  /** An ip6tables-restore that fails in mangle, having committed raw, while the file `broken` exists. */
  const breakable = () => {
    const real = `/usr/sbin/ip6tables-${kind}-restore`
    const fake = `/usr/local/sbin/ip6tables-${kind}-restore`
    const script = [
      '#!/bin/sh',
      `[ -e ${directory}/broken ] || exec ${real} "$@"`,
      `sed "/^[*]mangle/,\\$d" | ${real} "$@"`,
      'echo "line 9 failed" >&2; exit 1',
    ]
    const lines = script.map((line) => `echo '${line}' >> ${fake}`)
    return ['mount -t tmpfs tmpfs /usr/local/sbin', ...lines, `chmod +x ${fake}`].join('; ')
  }
  const breakIt = () => host.run('touch', `${directory}/broken`)

  test('up that fails in the second family leaves nothing behind', async () => {
    const before = traces(host)
    const broken = start(breakable())
    breakIt()
    await broken.create(make(), ['192.0.2.1'])
    await expect(broken.up()).rejects.toMatchObject({
      status: EXIT.osError,
      message: `ip6tables-${kind}-restore failed: line 9 failed`,
    })
    expect(traces(host)).toBe(before)
  })

  test('a new policy that fails leaves the old one in place, bans and all', async () => {
    const broken = start(breakable())
    await broken.create(make(), ['192.0.2.1'])
    await broken.up()
    host.run('ipset', 'add', 'sluice-ban-ssh-4', '198.51.100.1', 'timeout', '600')
    const before = traces(host)
    breakIt()
    await expect(broken.apply(make([service('smtp', 25)]))).rejects.toMatchObject({ status: EXIT.osError })
    expect(traces(host)).toBe(before)
    expect(await broken.verify()).toMatchObject({ problems: [], setSizes: { 'sluice-ban-ssh-4': 1 } })
  })

  test('another program that holds the lock of iptables is waited for', async () => {
    const lock = `${directory}/lock`
    host.run('touch', lock)
    const waiting = start(`touch /run/xtables.lock; mount --bind ${lock} /run/xtables.lock`)
    await waiting.create(make())
    const holder = host.spawn('flock', [lock, 'sh', '-c', 'echo held; sleep 1'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(holder.stdout!, 'data')
    await waiting.up()
    expect((await waiting.verify()).problems).toEqual([])
  })

  test('CAP_NET_ADMIN and CAP_NET_RAW are enough', async () => {
    const capable = start(':', 'setpriv --bounding-set -all,+net_admin,+net_raw --no-new-privs')
    await capable.create(make(), ['192.0.2.1'])
    await capable.up()
    expect((await capable.verify()).problems).toEqual([])
    await capable.takeDown()
    expect(rulesOf(host, kind)).not.toContain('SLUICE')
  })

  test.each(['up', 'verify', 'takeDown'] as const)('without capabilities, %s says so', async (method) => {
    const before = traces(host)
    const powerless = start(':', 'setpriv --bounding-set -all --no-new-privs')
    await powerless.create(make())
    await expect(powerless[method]()).rejects.toMatchObject({
      status: EXIT.noPermission,
      remedy: expect.stringContaining('CAP_NET_ADMIN'),
    })
    expect(traces(host)).toBe(before)
  })
})

/** The tools of iptables under other names only: `links` in an /usr/sbin that holds nothing else. */
function onlyTools(links: Record<string, string>): string {
  const commands = Object.entries(links).flatMap(([command, binary]) =>
    ['', '-save', '-restore'].flatMap((suffix) =>
      ['ip', 'ip6'].map((ip) => {
        const [bare, kind = ''] = command.split('-')
        const name = `${ip}tables${bare === 'suffixed' ? `-${kind}` : ''}${suffix}`
        return `ln -s ${binary} ${directory}/${name}`
      }),
    ),
  )
  const copies = ['nft', 'legacy'].map((kind) => `cp /usr/sbin/xtables-${kind}-multi ${directory}`)
  return [...copies, ...commands, `mount --bind ${directory} /usr/sbin`].join('; ')
}

describe('the back end', () => {
  test.each([
    [
      'the host command is nft',
      'auto',
      { bare: 'xtables-nft-multi', 'suffixed-legacy': 'xtables-legacy-multi' },
      'nft',
    ],
    [
      'the host command is legacy',
      'auto',
      { bare: 'xtables-legacy-multi', 'suffixed-nft': 'xtables-nft-multi' },
      'legacy',
    ],
    ['only iptables-nft exists', 'auto', { 'suffixed-nft': 'xtables-nft-multi' }, 'nft'],
    ['only iptables-legacy exists', 'auto', { 'suffixed-legacy': 'xtables-legacy-multi' }, 'legacy'],
    [
      'legacy is wanted, the host command is nft',
      'legacy',
      { bare: 'xtables-nft-multi', 'suffixed-legacy': 'xtables-legacy-multi' },
      'legacy',
    ],
    ['nft is wanted and has the bare name', 'nft', { bare: 'xtables-nft-multi' }, 'nft'],
  ] as const)('%s', async (_, backend, links, kind) => {
    const chosen = start(onlyTools(links))
    await chosen.create(policy([ssh], { firewall: { backend, checkMs: 5000 } }))
    await chosen.up()
    expect((await chosen.describe())[0]).toContain(`(iptables-${kind}, IPv4 and IPv6)`)
    for (const each of KINDS) expect(rulesOf(host, each).includes('SLUICE')).toBe(each === kind)
    expect((await chosen.verify()).problems).toEqual([])
    await chosen.takeDown()
    expect(rulesOf(host, kind)).not.toContain('SLUICE')
  })

  test.each([
    ['no iptables at all', 'auto', {}],
    ['not the one that is wanted', 'legacy', { bare: 'xtables-nft-multi' }],
  ] as const)('%s: a failure with the remedy', async (_, backend, links) => {
    const lacking = start(onlyTools(links))
    await lacking.create(policy([ssh], { firewall: { backend, checkMs: 5000 } }))
    await expect(lacking.up()).rejects.toMatchObject({
      status: EXIT.unavailable,
      remedy: 'apt-get install iptables',
    })
    expect(host.run('ipset', 'list', '-n')).toBe('')
    expect(await lacking.takeDown()).toEqual([])
  })

  test('a kernel without IPv6: IPv4 alone, and it says so', async () => {
    const old = start('mount -t tmpfs tmpfs /proc/$$/net')
    await old.create(policy([ssh], { firewall: { backend: 'nft', checkMs: 5000 } }), ['192.0.2.1', 'fd00::1'])
    await old.up()
    expect(await old.describe()).toContain('IPv6    none in this kernel: IPv4 only')
    expect(await old.verify()).toMatchObject({ problems: [], setSizes: { 'sluice-allow-4': 1 } })
    expect(host.run('ip6tables-nft-save')).not.toContain('SLUICE')
    expect(host.run('ipset', 'list', '-n')).not.toContain('-6')
  })
})
