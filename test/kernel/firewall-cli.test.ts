import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { type Host, Lab } from '../lib/lab.ts'
import { chain, rulesOf, traces } from './firewall-host.ts'

const MAIN = new URL('../../dist/main.js', import.meta.url).pathname

let lab: Lab
let host: Host
let directory: string
let config: string

beforeEach(() => {
  lab = Lab.create(['host'])
  host = lab.host('host')
  directory = mkdtempSync(join(tmpdir(), 'sluice-firewall-'))
  config = join(directory, 'sluice.yaml')
})

afterEach(() => {
  lab.close()
  rmSync(directory, { recursive: true })
})

function writePolicy(backend: string, threads = 1): void {
  writeFileSync(
    config,
    [
      `threads: ${threads}`,
      'allow: [192.0.2.0/24, 2001:db8::/32]',
      `firewall: { backend: ${backend} }`,
      'services:',
      '  ssh: { ports: [22], limits: { source: { burst: 10, rate: 10/min } } }',
      '  dns: { ports: [53/tcp, 53/udp], limits: { source: { burst: 10, rate: 10/min } } }',
      '',
    ].join('\n'),
  )
}

function sluice(...args: string[]) {
  return host.attempt(process.execPath, MAIN, 'firewall', ...args)
}

describe.each(['nft', 'legacy'] as const)('sluice firewall with iptables-%s', (kind) => {
  beforeEach(() => writePolicy(kind))

  test('up, status, down: each says what it did, and what is missing is exit status 1', async () => {
    const before = traces(host)
    const missing = await sluice('status', '--config', config)
    expect(missing.status).toBe(EXIT.refused)
    expect(missing.stdout).toContain('IPv4: chain SLUICE-BAN is missing in raw')
    expect(missing.stdout).toContain('set sluice-ban-ssh-6 is missing')
    expect(missing.stderr).toContain('sluice firewall up')

    const up = await sluice('up', '--config', config)
    expect(up).toMatchObject({ status: 0, stderr: '' })
    expect(up.stdout).toContain(`iptables-${kind}, IPv4 and IPv6`)
    expect(up.stdout).toContain('tcp 22,53, udp 53 -> queue 9713')
    expect(up.stdout).toContain('every packet passes')

    const status = await sluice('status', '--config', config)
    expect(status).toMatchObject({ status: 0, stderr: '' })
    expect(status.stdout).toContain('all chains and sets are in place')

    const down = await sluice('down')
    expect(down).toMatchObject({ status: 0, stderr: '' })
    expect(down.stdout).toContain(`removed chain SLUICE of ip6tables-${kind}`)
    expect(traces(host)).toBe(before)
    expect(await sluice('down')).toMatchObject({ status: 0, stdout: 'nothing was in place\n' })
  })

  test('--json', async () => {
    const json = async (...args: string[]) => JSON.parse((await sluice(...args, '--json')).stdout) as unknown
    expect(await json('up', '--config', config)).toEqual({
      inPlace: expect.arrayContaining([expect.stringMatching(/^chains /)]),
    })
    expect(await json('status', '--config', config)).toEqual({
      ok: true,
      problems: [],
      sets: expect.objectContaining({ 'sluice-allow-4': 1, 'sluice-ban-all-6': 0 }),
    })
    expect(await json('down')).toEqual({ removed: expect.arrayContaining(['set sluice-allow-6']) })
    expect(await json('status', '--config', config)).toMatchObject({ ok: false })
  })

  test('down --keep-bans leaves the bans, and nothing else', async () => {
    await sluice('up', '--config', config)
    host.run('ipset', 'add', 'sluice-ban-ssh-4', '198.51.100.1', 'timeout', '600')
    expect(await sluice('down', '--keep-bans')).toMatchObject({ status: 0 })
    expect(rulesOf(host, kind)).not.toContain('SLUICE')
    expect(host.run('ipset', 'list', '-n')).toBe('sluice-ban-ssh-4\n')
    expect(host.run('ipset', 'list', 'sluice-ban-ssh-4')).toContain('198.51.100.1')
  })

  test.each([1, 3])(
    'print, without root, writes what iptables-restore takes (%i threads)',
    async (threads) => {
      writePolicy(kind, threads)
      await sluice('up', '--config', config)
      for (const [tool, option] of [
        [`iptables-${kind}`, '-4'],
        [`ip6tables-${kind}`, '-6'],
      ] as const) {
        const print = ['print', option, '--config', config]
        const printed = host.run(
          'setpriv',
          '--bounding-set=-all',
          process.execPath,
          MAIN,
          'firewall',
          ...print,
        )
        writeFileSync(join(directory, 'rules'), printed)
        host.run('sh', '-c', `${tool}-restore --noflush --test < ${directory}/rules`)
        for (const [table, own] of [
          ['raw', 'SLUICE-BAN'],
          ['mangle', 'SLUICE'],
        ] as const) {
          const rules = printed.match(new RegExp(`(?<=^-A ${own} ).*`, 'gm'))
          expect(rules).toEqual(chain(host, tool, table, own))
        }
      }
      expect((await sluice('print', '--config', config)).stdout).toContain(
        '# ip6tables-restore --noflush\n*raw',
      )
    },
  )
})

test('a policy that cannot be loaded stops up, status and print, but never down', async () => {
  writeFileSync(config, 'services: 7\n')
  for (const command of ['up', 'status', 'print']) {
    expect(await sluice(command, '--config', config)).toMatchObject({ status: EXIT.config })
    expect(await sluice(command, '--config', `${config}.none`)).toMatchObject({ status: EXIT.noInput })
  }
  expect(await sluice('down')).toMatchObject({ status: 0 })
})
