import { afterAll, beforeAll, expect, test } from 'vitest'
import { startBind } from '../lib/bind.ts'
import { eventually } from '../lib/eventually.ts'
import { HONEST, Scene, SERVER } from '../lib/scene.ts'
import { hasSharedCaptures, SHARED_CAPTURES } from '../lib/shared-captures.ts'
import { Sluice } from '../lib/sluice.ts'

/** A real reflection attack: RRSIG answers of many servers, to port 22 of this address; 268 of them are whole. */
const CAPTURE = `${SHARED_CAPTURES}dns-attack-amp-rrsig-a.pcap`
const isThere = hasSharedCaptures('no recorded reflection is sent')
const SEND_FRAMES = new URL('../lib/send-frames.py', import.meta.url).pathname
const VICTIM = '10.10.10.10'
const RESOLVER = HONEST[4]

const LIMIT = 'limits: {source: {burst: 5, rate: 1/min}}'
const policy = (notrack: boolean) => `
services:
  ssh: {ports: [22], limits: {source: {burst: 100, rate: 1/s}}, ban: {strikes: 1, within: 1h}}
  dns: {ports: [53/udp, 53/tcp], ${LIMIT}, ban: {strikes: 1, within: 1h}}
dns: {notrack: ${notrack}}
firewall: {check: 200ms}
`

let scene: Scene
let sluice: Sluice

beforeAll(async () => {
  scene = new Scene()
  scene.server.addAddress(`${VICTIM}/32`)
  scene.server.run('ip', 'route', 'add', 'default', 'via', scene.client.ipv4)
  // What gets past sluice is counted here.
  scene.server.run('iptables', '-A', 'INPUT', '-p', 'udp', '--sport', '53', '--dport', '22')
  await startBind(scene.client, { zones: { test: '* A 192.0.2.80' } })
  sluice = await Sluice.start(scene.server, policy(false))
})

afterAll(() => scene.close())

function passed(): number {
  const rows = scene.server.run('iptables', '-vnxL', 'INPUT').split('\n')
  return Number.parseInt(rows.find((row) => row.includes('spt:53')) ?? '', 10)
}

async function resolve(name: string, ...options: string[]): Promise<string> {
  const { stdout } = await scene.server.attempt('dig', `@${RESOLVER}`, '+short', '+tries=3', ...options, name)
  return stdout.trim()
}

test.runIf(isThere).each([
  { mode: 'tracked', notrack: false },
  { mode: 'past conntrack', notrack: true },
])(
  'with DNS $mode, a reflection is dropped, nobody is banned, and the own resolver works',
  async ({ notrack }) => {
    sluice.write(policy(notrack))
    await sluice.ask({ op: 'reload' })
    const dropped = () =>
      sluice.metric('sluice_packets_total{service="none",verdict="drop",reason="unsolicited-answer"}')
    const before = await dropped().catch(() => 0)
    const mac = scene.server.run('cat', '/sys/class/net/eth0/address').trim()
    const attack = scene.client.attempt('python3', SEND_FRAMES, CAPTURE, 'eth0', mac)
    const answers = await Promise.all([1, 2, 3].map((i) => resolve(`name${i}.${mode(notrack)}.test`)))
    expect(answers).toEqual(['192.0.2.80', '192.0.2.80', '192.0.2.80'])
    expect((await attack).stderr).toBe('')
    await eventually('the answers are counted', async () => (await dropped()) - before >= 200)
    expect(passed()).toBe(0)
    expect(await sluice.ask({ op: 'bans list' })).toEqual([])
    expect(await sluice.metric('sluice_strikes_total{service="ssh"}')).toBe(0)
    expect(await sluice.metric('sluice_dns_unsolicited_answers_total{kind="rrsig"}')).toBeGreaterThanOrEqual(
      200,
    )
  },
)

function mode(notrack: boolean): string {
  return notrack ? 'notrack' : 'tracked'
}

test('an answer to a question from the port of the service is no question', async () => {
  sluice.write(policy(false))
  await sluice.ask({ op: 'reload' })
  const answers = []
  // More than the limit of the service allows.
  for (let i = 0; i < 8; i++) answers.push(await resolve(`from53-${i}.test`, '-b', `${SERVER[4]}#53`))
  expect(answers).toEqual(Array.from({ length: 8 }, () => '192.0.2.80'))
})
