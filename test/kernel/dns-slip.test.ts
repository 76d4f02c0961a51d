import { writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DnsReport } from '../../src/control/dns/dns-report.ts'
import { buildFaultLibrary } from '../lib/addon-builds.ts'
import { startBind } from '../lib/bind.ts'
import { eventually } from '../lib/eventually.ts'
import { type Addresses, ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { listen } from '../lib/tcp.ts'
import { withoutExtension } from '../lib/without-extension.ts'

/** Three queries, and then none for hours: whoever is refused must come back over TCP. */
const LIMIT = '{burst: 3, rate: 1/h}'
const policy = (notrack = false) => `
services:
  dns: {ports: [53/udp, 53/tcp], limits: {source: {burst: 1000, rate: 100/s}, known: {burst: 1000, rate: 100/s}}}
dns: {notrack: ${notrack}, slip: 1, reverse: {source: ${LIMIT}}}
firewall: {check: 200ms}
`

const BIND_CLIENT: Addresses = { 4: '198.51.100.77', 6: '2001:db8:77::7' }

let scene: Scene

beforeEach(() => {
  scene = new Scene()
})

afterEach(() => scene.close())

async function startServer(): Promise<void> {
  await startBind(scene.server, {
    zones: {
      '18.198.in-addr.arpa': '*.1 PTR host.example.test.',
      '1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa': '* PTR host6.example.test.',
    },
  })
}

function start(notrack = false): Promise<Sluice> {
  return Sluice.start(scene.server, policy(notrack))
}

async function dig(family: 4 | 6, i: number, ...options: string[]): Promise<string> {
  const args = [`@${SERVER[family]}`, '-b', ATTACKER[family], '+tries=1', '+timeout=5', ...options]
  const { stdout } = await scene.client.attempt('dig', ...args, '-x', `198.18.1.${i}`)
  return stdout.trim()
}

describe.each([
  { mode: 'tracked', notrack: false },
  { mode: 'past conntrack', notrack: true },
])('DNS $mode', ({ notrack }) => {
  test.each([4, 6] as const)(
    'over IPv%i, dig, Unbound and BIND come back over TCP and get their answer',
    async (family) => {
      await startServer()
      const sluice = await start(notrack)
      const names = async (from: number, end: number) => {
        const answers = []
        for (let i = from; i < end; i++)
          answers.push(await dig(family, i, '+short', i % 2 === 0 ? '+edns' : '+noedns'))
        return answers
      }
      expect(await names(0, 3)).toEqual(Array.from({ length: 3 }, () => 'host.example.test.'))
      // Who does not come back has the empty answer itself.
      const truncated = await dig(family, 9, '+ignore')
      expect(truncated).toMatch(/flags: qr tc rd; QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1/)
      expect(truncated).toMatch(/EDNS: version: 0, flags:; udp: 1232/)
      expect(truncated).toMatch(/^;9\.1\.18\.198\.in-addr\.arpa\.\s+IN\s+PTR$/m)
      expect(await names(4, 8)).toEqual(Array.from({ length: 4 }, () => 'host.example.test.'))
      expect(await sluice.metric('sluice_dns_replies_total{outcome="sent"}')).toBeGreaterThanOrEqual(2)
      // By coming back it has proven that the address is its own: a flood of others will not shut it out.
      await eventually('it is known good', () => sluice.metric('sluice_dns_proven_resolvers_total'))

      const unbound = await startUnbound(family)
      const resolved = []
      for (let i = 20; i < 28; i++) resolved.push(await unbound(i))
      expect(resolved).toEqual(Array.from({ length: 8 }, () => 'host.example.test.'))

      const bind = await startRecursiveBind(family)
      const recursed = []
      for (let i = 40; i < 48; i++) recursed.push(await bind(i))
      expect(recursed).toEqual(Array.from({ length: 8 }, () => 'host.example.test.'))

      const entries = scene.server.run('conntrack', '-L', '-p', 'udp').split('\n').filter(Boolean)
      // Of 8 and more refused queries and as many answers of ours none is in the kernel's table.
      expect(entries.length).toBeLessThanOrEqual(notrack ? 0 : 25)
    },
  )
})

async function startUnbound(family: 4 | 6): Promise<(i: number) => Promise<string>> {
  const scratch = scene.client.scratch()
  writeFileSync(
    scratch.path('conf'),
    `server:
  directory: "${scratch.directory}"
  username: ""
  chroot: ""
  pidfile: ""
  interface: 127.0.0.1@5353
  outgoing-interface: ${HONEST[family]}
  do-not-query-localhost: no
  module-config: "iterator"
  local-zone: "18.198.in-addr.arpa" nodefault
  qname-minimisation: no
remote-control:
  control-enable: no
stub-zone:
  name: "18.198.in-addr.arpa"
  stub-addr: ${SERVER[family]}
`,
  )
  scene.client.spawn('unbound', ['-d', '-p', '-c', scratch.path('conf')], { stdio: 'ignore' })
  await eventually('Unbound listens', async () => {
    const { stdout } = await scene.client.attempt('ss', '-Hlun', 'sport = :5353')
    return stdout !== ''
  })
  return async (i) => {
    const args = ['@127.0.0.1', '-p', '5353', '+short', '+tries=1', '+timeout=8', '-x', `198.18.1.${i}`]
    return (await scene.client.attempt('dig', ...args)).stdout.trim()
  }
}

/** BIND as a resolver, with an address of its own. */
async function startRecursiveBind(family: 4 | 6): Promise<(i: number) => Promise<string>> {
  scene.client.addAddress(family === 4 ? `${BIND_CLIENT[4]}/32` : `${BIND_CLIENT[6]}/128`)
  const from =
    family === 4 ? `query-source address ${BIND_CLIENT[4]}` : `query-source-v6 address ${BIND_CLIENT[6]}`
  await startBind(scene.client, {
    zones: {},
    listenOn: ['127.0.0.1'],
    options: `${from}; empty-zones-enable no; qname-minimization off;`,
    more: `zone "18.198.in-addr.arpa" { type static-stub; server-addresses { ${SERVER[family]}; }; };`,
  })
  return async (i) => {
    const args = ['@127.0.0.1', '+short', '+tries=1', '+timeout=8', '-x', `198.18.1.${i}`]
    return (await scene.client.attempt('dig', ...args)).stdout.trim()
  }
}

test('where nobody listens on 53/tcp, nobody is asked to come back, and sluice says so', async () => {
  const sluice = await start()
  const report = async () => JSON.parse((await sluice.cli('status', '--dns', '--json')).stdout) as DnsReport
  expect((await report()).slip.obstacle).toBe('nobody listens on 53/tcp')
  expect(sluice.output).toContain('not asked to come back over TCP: nobody listens on 53/tcp')
  expect(await sluice.metric('sluice_dns_slip_possible')).toBe(0)
  await startServer()
  await eventually('it sees that somebody does', async () => (await report()).slip.obstacle === null)
  for (let i = 0; i < 4; i++) expect(await dig(4, i, '+short')).toBe('host.example.test.')
  expect(await sluice.metric('sluice_dns_replies_total{outcome="sent"}')).toBe(1)
})

test('on a kernel without tcp_diag it sees all the same who listens, and says so once', async () => {
  const env = { LD_PRELOAD: buildFaultLibrary(), FAULT: 'no-tcp-diag:1000000' }
  const sluice = await Sluice.start(scene.server, policy(), { env })
  expect(await sluice.metric('sluice_dns_slip_possible')).toBe(0)
  await listen(scene.server, 53)
  await eventually('it sees that somebody does', () => sluice.metric('sluice_dns_slip_possible'))
  const said = 'cannot list listening sockets: ENOENT (the kernel module tcp_diag is missing)'
  expect(sluice.output.split(said)).toHaveLength(2)
  await sluice.stop()
})

test.each([4, 6] as const)(
  'a firewall that lets only ESTABLISHED out forbids the replies over IPv%i, until it has the rule for their mark',
  async (family) => {
    const iptables = family === 4 ? 'iptables' : 'ip6tables'
    const output = (rule: string) => scene.server.run(iptables, ...rule.split(' '))
    output('-A OUTPUT -o lo -j ACCEPT')
    if (family === 6) output('-A OUTPUT -p icmpv6 -j ACCEPT')
    output('-A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT')
    output('-A OUTPUT -j DROP')
    await startServer()
    const sluice = await start()
    for (let i = 0; i < 3; i++) expect(await dig(family, i, '+short')).toBe('host.example.test.')
    // The counters are those of the batch before.
    for (const i of [4, 5]) expect(await dig(family, i, '+ignore', '+timeout=2')).not.toContain('flags: qr')
    const replies = (outcome: string) => sluice.metric(`sluice_dns_replies_total{outcome="${outcome}"}`)
    await eventually('the reply was forbidden', () => replies('forbidden'))
    expect(await replies('sent')).toBe(0)

    // The rule of docs/firewall.md.
    output('-I OUTPUT -p udp -m mark --mark 0x2000000 -j ACCEPT')
    expect(await dig(family, 6, '+ignore')).toMatch(/flags: qr tc rd; QUERY: 1, ANSWER: 0/)
    // And back over TCP.
    expect(await dig(family, 7, '+short')).toBe('host.example.test.')
  },
)

test('on a kernel that cannot look for a name in a packet, floods come to the queue, and the rest goes on', async () => {
  await startServer()
  const sluice = await Sluice.start(scene.server, `${policy().replace('{check', '{backend: nft, check')}`, {
    launcher: withoutExtension('-m string '),
  })
  await eventually('it is said', () =>
    sluice.output.includes('floods of reverse queries come to the queue as a whole: '),
  )
  const raw = scene.server.run('iptables-nft-save', '-t', 'raw')
  expect(raw).not.toContain('sluice-flood')
  // The one that is there is not left out with it.
  expect(raw).toContain('--ctevents')
  for (let i = 0; i < 3; i++) expect(await dig(4, i, '+short', '+notcp')).toBe('host.example.test.')
  // Checks of the firewall miss nothing.
  expect(await sluice.http('/healthz')).toBe('ok\n')
  expect(await sluice.metric('sluice_firewall_repairs_total')).toBe(0)
  expect((await sluice.cli('firewall', 'status')).stdout).not.toContain('missing')
  await sluice.stop()
})
