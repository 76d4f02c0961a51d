import { afterAll, beforeAll, expect, test } from 'vitest'
import type { DnsReport } from '../../src/control/dns/dns-report.ts'
import { startBind } from '../lib/bind.ts'
import { eventually } from '../lib/eventually.ts'
import { Postfix } from '../lib/postfix.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { Sshd } from '../lib/sshd.ts'

const SMTP_LOGIN = new URL('../lib/smtp-login.mjs', import.meta.url).pathname
const RESOLVER = '127.0.0.53'

const generous = 'limits: {source: {burst: 1000, rate: 10/s}}'
const POLICY = `
services:
  ssh: {ports: [22], ${generous}}
  smtp: {ports: [25], ${generous}}
  submission: {ports: [465, 587], ${generous}}
dns: {induced: {alarm: 10}}
firewall: {check: 200ms}
`

/** All that is asked for: BIND has nobody to ask on. */
const ZONES = {
  '113.0.203.in-addr.arpa': '66 PTR attacker.example.test.',
  '100.51.198.in-addr.arpa': '7 PTR honest.example.test.',
  '8.b.d.0.1.0.0.2.ip6.arpa': '',
  test: '',
}

const LOGINS = 6

let scene: Scene
let sluice: Sluice

beforeAll(async () => {
  scene = new Scene()
  scene.server.run('ip', 'addr', 'add', `${RESOLVER}/32`, 'dev', 'lo')
  await startBind(scene.server, { zones: ZONES, listenOn: [RESOLVER] })
  await Sshd.start(scene.server, { resolver: RESOLVER })
  await Postfix.start(scene.server, ['smtpd_peername_lookup = yes'], RESOLVER)
  sluice = await Sluice.start(scene.server, POLICY)
})

afterAll(() => scene.close())

async function failLogins(count: number): Promise<void> {
  const options = ['BatchMode=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null']
  const flags = options.flatMap((each) => ['-o', each])
  for (let i = 0; i < count; i++) {
    await scene.client.attempt(
      'ssh',
      '-F',
      'none',
      ...flags,
      '-b',
      ATTACKER[4],
      `nobody@${SERVER[4]}`,
      'true',
    )
  }
}

async function mail(family: 4 | 6, port: number): Promise<void> {
  const args = [SERVER[family], String(port), HONEST[family], 'alice@example.test', 'wrong']
  await scene.client.attempt(process.execPath, SMTP_LOGIN, ...args)
}

async function report(): Promise<DnsReport> {
  const { stdout, stderr } = await sluice.cli('status', '--dns', '--json')
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout)
}

test('sshd with UseDNS and Postfix: who makes them look up names, over a resolver on loopback', async () => {
  await failLogins(LOGINS)
  for (let i = 0; i < 3; i++) await mail(4, 25)
  for (let i = 0; i < 2; i++) await mail(6, 587)
  const { causes, induced, reverseNetworks } = await eventually('all lookups are counted', async () => {
    const now = await report()
    return now.causes.length === 3 && now.causes.some(({ lookups }) => lookups === LOGINS) && now
  })
  expect(causes).toEqual([
    { source: ATTACKER[4], service: 'ssh', lookups: LOGINS },
    { source: HONEST[4], service: 'smtp', lookups: 3 },
    { source: '2001:db8:600d::/64', service: 'submission', lookups: 2 },
  ])
  expect(induced!.services.map(({ service, lastHour }) => [service, lastHour])).toEqual([
    ['ssh', LOGINS],
    ['smtp', 3],
    ['submission', 2],
  ])
  expect(reverseNetworks.map(({ network }) => network)).toContain('203.0.113.0/24')
  const { stdout } = await sluice.cli('status', '--dns')
  expect(stdout).toMatch(/^ +6 +ssh: 203\.0\.113\.66$/m)
  expect(await sluice.metric('sluice_dns_induced_lookups_total{service="ssh"}')).toBe(LOGINS)
})

test('so many within an hour are an alarm', async () => {
  expect(await sluice.metric('sluice_dns_induced_lookups_alarm{service="ssh"}')).toBe(0)
  await failLogins(5)
  await eventually('the alarm is on', async () => (await report()).induced!.services[0]!.alarm)
  expect(await sluice.metric('sluice_dns_induced_lookups_alarm{service="ssh"}')).toBe(1)
  expect(await sluice.metric('sluice_dns_induced_lookups_alarm{service="smtp"}')).toBe(0)
  expect(sluice.output).toMatch(/alarm: clients of ssh have caused \d+ reverse lookups within an hour/)
})

test('what this host asks passes, whether somebody listens or not', async () => {
  const dig = () => scene.server.attempt('dig', `@${RESOLVER}`, '+short', '+timeout=3', '-x', ATTACKER[4])
  expect((await dig()).stdout).toBe('attacker.example.test.\n')
  sluice.signal('SIGKILL')
  await sluice.ended
  expect(scene.server.run('iptables-save', '-t', 'mangle')).toContain('--queue-num 9714')
  expect((await dig()).stdout).toBe('attacker.example.test.\n')
})
