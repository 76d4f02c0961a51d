import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startBind } from '../lib/bind.ts'
import { ptrQuery, reverseOf } from '../lib/dns-query.ts'
import { eventually } from '../lib/eventually.ts'
import { type Sent, writeCapture } from '../lib/replay.ts'
import { HONEST as ADMINISTRATOR, type Addresses, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { Sshd } from '../lib/sshd.ts'

const SEND = new URL('../lib/send-capture.py', import.meta.url).pathname
const POLICY = readFileSync(new URL('../../rules/sluice.yaml', import.meta.url), 'utf8')

const PUBLIC_RESOLVER: Addresses = { 4: '8.8.8.8', 6: '2001:4860:4860::8888' }

/** Of the flood in one name: 250 reverse queries a second, where 10 are let through, and SYNs that would be five bans. */
const SECONDS = 4
const QUERIES = 250 * SECONDS
const SYNS = 100

let scene: Scene
let sshd: Sshd
let sluice: Sluice
let gateway: Addresses

beforeAll(async () => {
  scene = new Scene('gateway')
  const router = scene.lab.host('gateway')
  gateway = { 4: router.ipv4, 6: router.ipv6 }
  router.addAddress(`${PUBLIC_RESOLVER[4]}/32`, `${PUBLIC_RESOLVER[6]}/128`)
  scene.server.run('ip', 'route', 'add', 'default', 'via', gateway[4])
  scene.server.run('ip', '-6', 'route', 'add', 'default', 'via', gateway[6])
  // The gateway has a resolver, and stands for the one in the world, too.
  router.run('ip', 'route', 'add', `${SERVER[4]}/32`, 'dev', 'eth0')
  router.run('ip', 'route', 'add', `${SERVER[6]}/128`, 'dev', 'eth0')
  await startBind(router, { zones: { test: '* A 192.0.2.80' } })
  await startBind(scene.server, { zones: { '18.198.in-addr.arpa': '* PTR host.example.test.' } })
  sshd = await Sshd.start(scene.server)
  sluice = await Sluice.start(scene.server, POLICY)
})

afterAll(() => {
  sshd?.close()
  scene.close()
})

/** Reverse queries and SYNs to 22 and 53 in the names of `victims`, all at the same time. */
async function flood(victims: readonly string[], to: string): Promise<void> {
  const each = QUERIES + 2 * SYNS
  const sent = victims.flatMap((from, victim) =>
    Array.from({ length: each }, (_, i): Sent => {
      const atMs = (i * SECONDS * 1000) / each
      const common = { from, to, atMs, sourcePort: 20_000 + i, sequence: victim * 100_003 + i * 7 + 1 }
      if (i % 12 === 5) return { ...common, port: 22 }
      if (i % 12 === 11) return { ...common, port: 53 }
      return { ...common, port: 53, protocol: 'udp', payload: ptrQuery(reverseOf(0xc6120000 + i * 37)) }
    }),
  )
  const file = writeCapture(
    scene.client.scratch().path('flood.pcap'),
    sent.toSorted((a, b) => a.atMs - b.atMs),
  )
  const mac = scene.server.run('cat', '/sys/class/net/eth0/address').trim()
  const { status, stderr } = await scene.client.attempt('python3', SEND, file, 'eth0', mac)
  if (status !== 0) throw new Error(stderr)
}

async function resolves(resolver: string, name: string): Promise<boolean> {
  const args = [`@${resolver}`, '+short', '+tries=3', '+timeout=3', name]
  return (await scene.server.attempt('dig', ...args)).stdout.trim() === '192.0.2.80'
}

async function refused(service: string): Promise<number> {
  return (await sluice.status()).services.find(({ name }) => name === service)!.refused
}

const unproven = () => sluice.metric('sluice_unproven_promotions_total{service="ssh"}')
const banned = async () => (await sluice.ask({ op: 'bans list' })).map(({ prefix }) => prefix)

function banSetMembers(): string[] {
  return scene.server
    .run('ipset', 'save')
    .split('\n')
    .filter((line) => line.startsWith('add sluice-ban-'))
}

test.each([4, 6] as const)(
  'a flood in the name of a resolver, the gateway and the administrator bans none of them (IPv%d)',
  async (family) => {
    const { connections } = sshd.seen(ADMINISTRATOR[family])
    const session = sshd.login(
      scene.client,
      ADMINISTRATOR[family],
      SERVER[family],
      `sleep ${SECONDS + 2}; echo welcome`,
    )
    await eventually('he is here', () => sshd.seen(ADMINISTRATOR[family]).connections > connections)

    const before = { dns: await refused('dns'), ssh: await refused('ssh'), unproven: await unproven() }
    let isOver = false
    const victims = [PUBLIC_RESOLVER, gateway, ADMINISTRATOR].map((each) => each[family])
    const attack = flood(victims, SERVER[family]).finally(() => {
      isOver = true
    })
    const answers: boolean[] = []
    for (let i = 0; !isOver; i++) {
      answers.push(await resolves(gateway[family], `name${i}.v${family}.test`))
      answers.push(await resolves(PUBLIC_RESOLVER[family], `other${i}.v${family}.test`))
    }
    await attack
    expect(answers.length).toBeGreaterThanOrEqual(4)
    expect(answers).toEqual(answers.map(() => true))
    expect(await session).toBeDefined()

    // The gateway is never limited; the other two are, and by far.
    await eventually('the flood is refused', async () => {
      return (await refused('dns')) > before.dns + QUERIES && (await refused('ssh')) > before.ssh + SYNS
    })
    await eventually('there are offenders', async () => (await unproven()) > before.unproven)
    expect(await banned()).toEqual([])
    expect(banSetMembers()).toEqual([])
  },
)

test('without the proof, the same SYNs would shut the administrator out', async () => {
  sluice.write(POLICY.replace('proof: handshake', 'proof: none'))
  await sluice.ask({ op: 'reload' })
  const victim = ADMINISTRATOR[4]
  await flood([victim], SERVER[4])
  await eventually('he is banned', async () => (await banned()).some((prefix) => prefix.startsWith(victim)))
  await eventually('the kernel knows', () => banSetMembers().length > 0)
})
