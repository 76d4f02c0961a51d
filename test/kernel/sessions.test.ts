import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Family } from '../../src/net/prefix.ts'
import { buildFaultLibrary } from '../lib/addon-builds.ts'
import { eventually } from '../lib/eventually.ts'
import type { Host } from '../lib/lab.ts'
import { type Sent, writeCapture } from '../lib/replay.ts'
import { type Addresses, ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Scratch } from '../lib/scratch.ts'
import { PROGRAM, Sluice } from '../lib/sluice.ts'
import { connections } from '../lib/tcp.ts'
import { withoutExtension } from '../lib/without-extension.ts'

const TALKER = new URL('../lib/talker.mjs', import.meta.url).pathname
const SEND = new URL('../lib/send-capture.py', import.meta.url).pathname
const SPOOF = new URL('../lib/spoof-handshake.py', import.meta.url).pathname

/** Logs in every now and then. */
const ADMINISTRATOR: Addresses = { 4: '198.51.100.77', 6: '2001:db8:ad::7' }
/** One on the same networks as the honest user, who is not there to answer for himself. */
const ABSENT: Addresses = { 4: '198.51.100.99', 6: '2001:db8:ab5e::7' }
const RESOLVER: Addresses = { 4: '198.51.100.53', 6: '2001:db8:d45::53' }

const FAMILIES = [4, 6] as const
const BURST = 10
const BYTES = 3000

const POLICY = `
services:
  ssh:
    ports: [22, 2222]
    limits: {source: {burst: ${BURST}, rate: 2/min}}
    ban: {strikes: 3, within: 10m}
    outcome: smtp
  dns:
    ports: [53/udp, 53/tcp]
    limits: {source: {burst: 5, rate: 1/min}}
    ban: {strikes: 3, within: 10m}
log: {level: debug}
`

const FOREIGN = '-t raw -A PREROUTING -p tcp -m tcp --dport 9999 -j CT --notrack'

const SYSCTLS = ['acct', 'timestamp', 'events'].map((name) => `net.netfilter.nf_conntrack_${name}`)
const sysctls = (host: Host) =>
  host
    .run('sysctl', '-n', ...SYSCTLS)
    .trim()
    .split('\n')

async function serve(host: Host, port: number): Promise<void> {
  const server = host.spawn(process.execPath, [TALKER, 'serve', `${port}`, `${BYTES}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(server.stdout!, 'data')
}

/** Opens connections that stay for `stayMs`. Resolves when they are open, to what resolves when they are closed. */
async function talk(host: Host, from: string, to: string, port = 22, stayMs = 1500, count = 1) {
  const args = [TALKER, 'talk', to, port, from, BYTES, stayMs, count].map(String)
  const client = host.spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: client.stdout! })
  const [open, closed] = [once(lines, 'line'), once(lines, 'close')]
  await open
  return { closed }
}

describe.each(['nft', 'legacy'])('sessions, with iptables-%s', (backend) => {
  const scratch = new Scratch()
  let scene: Scene
  let sluice: Sluice
  let before: string[]

  /** Sends SYNs or queries in somebody else's name. */
  async function forge(packets: readonly Partial<Sent>[], from: string): Promise<void> {
    const to = from.includes(':') ? SERVER[6] : SERVER[4]
    const sent = packets.map((fields, i) => {
      return { port: 22, from, to, sourcePort: 20_000 + i, ...fields, atMs: i * 2, sequence: i * 7 + 1 }
    })
    const file = writeCapture(scratch.path('forged.pcap'), sent)
    const mac = scene.server.run('cat', '/sys/class/net/eth0/address').trim()
    const { status, stderr } = await scene.client.attempt('python3', SEND, file, 'eth0', mac)
    if (status !== 0) throw new Error(stderr)
  }

  const sessions = async () => (await sluice.status()).sessions
  const messages = () => sluice.metric('sluice_conntrack_events_total{event="messages"}')
  const of = (what: string, service = 'ssh') => sluice.metric(`sluice_${what}_total{service="${service}"}`)
  const banned = async () => (await sluice.ask({ op: 'bans list' })).map(({ prefix }) => prefix)

  beforeAll(async () => {
    scene = new Scene()
    const { server, client } = scene
    client.addAddress(`${ADMINISTRATOR[4]}/32`, `${ADMINISTRATOR[6]}/128`)
    for (const { 4: v4, 6: v6 } of [ABSENT, RESOLVER]) {
      server.run('ip', 'route', 'replace', `${v4}/32`, 'dev', 'eth0')
      server.run('ip', 'route', 'replace', `${v6}/128`, 'dev', 'eth0')
    }
    server.run('ip', 'route', 'add', 'default', 'via', client.ipv4)
    for (const tool of [`iptables-${backend}`, `ip6tables-${backend}`]) {
      server.run(
        tool,
        '-t',
        'nat',
        '-A',
        'PREROUTING',
        '-p',
        'tcp',
        '--dport',
        '2222',
        '-j',
        'REDIRECT',
        '--to-ports',
        '22',
      )
    }
    await serve(server, 22)
    before = sysctls(server)
    sluice = await Sluice.start(server, `${POLICY}\nfirewall: {backend: ${backend}}\n`)
  })

  afterAll(() => {
    scene.close()
    scratch.close()
  })

  test('conntrack counts and takes times while sluice runs', () => {
    expect(before).toEqual(['0', '0', '2'])
    expect(sysctls(scene.server)).toEqual(['1', '1', '1'])
  })

  test.each(FAMILIES)('half-open connections cost no event and prove nothing (IPv%d)', async (family) => {
    const [heard, assured] = [await messages(), await of('sessions_assured')]
    await forge(new Array(32).fill({ port: 2222 }), ABSENT[family])
    const looks = () => sluice.metric('sluice_conntrack_looks_total')
    const before = await looks()
    await eventually('there was a look', async () => (await looks()) > before, { withinMs: 20_000 })
    expect([await messages(), await of('sessions_assured')]).toEqual([heard, assured])
  })

  test.each([
    { family: 4, port: 22, what: 'to the port itself' },
    { family: 6, port: 22, what: 'to the port itself' },
    { family: 4, port: 2222, what: 'through DNAT' },
    { family: 6, port: 2222, what: 'through DNAT' },
  ] as const)(
    'a connection is seen, and its volume when it is closed: IPv$family $what',
    async ({ family, port }) => {
      const { seen, closed } = await sessions()
      const told = sluice.output.length
      const session = await talk(scene.client, HONEST[family], SERVER[family], port)
      await eventually('it is seen', async () => (await sessions()).seen === seen + 1)
      await session.closed
      await eventually('it is closed', async () => (await sessions()).closed === closed + 1)
      expect((await sessions()).open).toBe(0)
      const line =
        /session of (\S+) at ssh: ([\d.]+)s, (\d+) packets and (\d+) bytes to us, (\d+) and (\d+) to it/
      await eventually('it is told', () => line.test(sluice.output.slice(told)))
      const [, address, seconds, ...volumes] = line.exec(sluice.output.slice(told)) ?? []
      expect(address).toBe(HONEST[family])
      expect(Number(seconds)).toBeGreaterThan(1.4)
      // What conntrack itself shows of it, by the official tool.
      const listed = scene.server.run('conntrack', '-L', '-f', `ipv${family}`, '-s', HONEST[family])
      const flows = listed
        .split('\n')
        .filter((line) => line.includes(`dport=${port} packets`) || line.includes(`dport=${port} `))
      const counters = flows.map((line) => [...line.matchAll(/(?:packets|bytes)=(\d+)/g)].map(([, n]) => n))
      expect(counters).toContainEqual(volumes)
      expect(Number(volumes[1])).toBeGreaterThan(BYTES)
      expect(Number(volumes[3])).toBeGreaterThan(BYTES)
    },
  )

  test.each([
    { timestamps: 0, family: 4, port: 22, told: 'without' },
    { timestamps: 0, family: 6, port: 2222, told: 'without' },
    { timestamps: 1, family: 4, port: 2222, told: 'with' },
    { timestamps: 1, family: 6, port: 22, told: 'with' },
  ] as const)(
    'a client with tcp_timestamps=$timestamps is seen to have some or not: IPv$family, port $port',
    async ({ timestamps, family, port, told }) => {
      const { client } = scene
      const before = sluice.output.length
      client.run('sysctl', '-qw', `net.ipv4.tcp_timestamps=${timestamps}`)
      const session = await talk(client, HONEST[family], SERVER[family], port, 300)
      client.run('sysctl', '-qw', 'net.ipv4.tcp_timestamps=1')
      await session.closed
      const line = /session of \S+ at ssh: .* to it, (with|without) TCP timestamps"/
      await eventually('it is told', () => line.test(sluice.output.slice(before)))
      expect(line.exec(sluice.output.slice(before))![1]).toBe(told)
    },
  )

  test('a session is known by the second look after its close', async () => {
    const { closed } = await sessions()
    // Of one moment, so that it is no matter how long this test is kept waiting between looks.
    const now = async () => {
      const text = await sluice.http('/metrics')
      const value = (sample: string) =>
        Number(
          text
            .split('\n')
            .find((each) => each.startsWith(`${sample} `))!
            .slice(sample.length),
        )
      return {
        looks: value('sluice_conntrack_looks_total'),
        closed: value('sluice_sessions_closed_total{service="ssh"}'),
      }
    }
    const before = await now()
    const session = await talk(scene.client, HONEST[4], SERVER[4], 22, 300)
    await session.closed
    const open = /ESTABLISHED|FIN_WAIT|CLOSE_WAIT|LAST_ACK/
    await eventually(
      'conntrack has both sides closed',
      () => !open.test(scene.server.run('conntrack', '-L', '-s', HONEST[4], '-p', 'tcp')),
    )
    const { looks } = await now()
    // One may have been under way. Looks are a second apart at most while a session is open.
    const later = await eventually(
      'it is known, or there were two looks',
      async () => {
        const each = await now()
        return (each.closed > before.closed || each.looks >= looks + 2) && each
      },
      { withinMs: 30_000 },
    )
    expect(later.closed).toBe(before.closed + 1)
    expect((await sessions()).closed).toBe(closed + 1)
  })

  test('sessions that are open are asked for by name: few looks walk through the whole table', async () => {
    const looks = async () => {
      const [all, whole] = ['looks', 'whole_looks'].map((name) =>
        sluice.metric(`sluice_conntrack_${name}_total`),
      )
      return { all: await all!, whole: await whole! }
    }
    const before = await looks()
    const sessions = [HONEST[4], HONEST[6]].map((from, i) =>
      talk(scene.client, from, i === 0 ? SERVER[4] : SERVER[6], 2222, 6000, 2),
    )
    const { open } = await eventually('all are seen', async () => {
      const { sessions } = await sluice.status()
      return sessions.open === 4 && sessions
    })
    await eventually('there were six looks', async () => (await looks()).all >= before.all + 6)
    const after = await looks()
    // One each five seconds, and as many as proofs that tests before have asked for a moment ago.
    expect(after.whole - before.whole).toBeLessThan((after.all - before.all) / 2)
    for (const { closed } of await Promise.all(sessions)) await closed
    expect(open).toBe(4)
    await eventually('none is open', async () => (await sluice.status()).sessions.open === 0)
  })

  test.each(FAMILIES)('forged SYNs in the name of the administrator ban nobody (IPv%d)', async (family) => {
    // He is logged in, and was a moment ago; the flood uses up his limit.
    const session = await talk(scene.client, ADMINISTRATOR[family], SERVER[family], 22, 3000, 2)
    const unproven = await of('unproven_promotions')
    await forge(new Array(60).fill({}), ADMINISTRATOR[family])
    await eventually('he is an offender', async () => (await of('unproven_promotions')) > unproven)
    await session.closed
    expect(await banned()).toEqual([])
  })

  test('nor do they in the name of the gateway, of a resolver, or of somebody who is not there', async () => {
    const query = { port: 53, protocol: 'udp', payload: new Uint8Array(30) } as const
    for (const from of [scene.client.ipv4, ABSENT[4], ABSENT[6], RESOLVER[4], RESOLVER[6]]) {
      await forge(new Array(60).fill({}), from)
      await forge(new Array(40).fill(query), from)
    }
    const refused = async () => (await sluice.status()).services.map((each) => each.refused)
    await eventually('floods are refused', async () => (await refused()).every((count) => count > 60))
    expect(await banned()).toEqual([])
  })

  test('a forged acknowledgement that conntrack takes for one, and the server does not, proves nothing', async () => {
    const proven = (await sluice.status()).sessions.provenSources
    const assured = await of('sessions_assured')
    const mac = scene.server.run('cat', '/sys/class/net/eth0/address').trim()
    const forged = '198.51.100.123'
    // The SYN-ACK reaches us: a real attacker would have to guess what is in it.
    const ours = scene.client.run('cat', '/sys/class/net/eth0/address').trim()
    scene.server.run('ip', 'neigh', 'replace', forged, 'lladdr', ours, 'dev', 'eth0')
    const { stdout, stderr } = await scene.client.attempt(
      'python3',
      SPOOF,
      SERVER[4],
      '22',
      forged,
      'eth0',
      mac,
    )
    expect({ stdout, stderr }).toEqual({ stdout: '1\n', stderr: '' })
    expect(scene.server.run('conntrack', '-L', '-s', forged)).toContain('[ASSURED]')
    const looks = await sluice.metric('sluice_conntrack_looks_total')
    await eventually(
      'it was looked at',
      async () => (await sluice.metric('sluice_conntrack_looks_total')) > looks + 1,
    )
    expect(await of('sessions_assured')).toBe(assured)
    expect((await sluice.status()).sessions.provenSources).toBe(proven)
  })

  test.each(FAMILIES)('a real attacker is banned, for his handshakes (IPv%d)', async (family: Family) => {
    const client = { to: SERVER[family], port: 22, from: ATTACKER[family], timeoutMs: 800 }
    expect(await connections(scene.client, { ...client, count: BURST + 5 })).toBe(BURST)
    await eventually('he is banned', async () => (await banned()).length > 0)
    const bans = await sluice.ask({ op: 'bans list' })
    expect(bans).toMatchObject([{ scope: 'ssh', proof: 'handshake' }])
    await sluice.ask({ op: 'bans remove', prefix: bans[0]!.prefix })
  })

  test('when sluice ends, conntrack is as it was; and after kill -9 too, once the firewall is down', async () => {
    await sluice.stop()
    expect(sysctls(scene.server)).toEqual(before)
    scene.server.run('sysctl', '-qw', `${SYSCTLS[1]}=1`)
    const killed = await Sluice.start(scene.server, `${POLICY}\nfirewall: {backend: ${backend}}\n`)
    await killed.stop('SIGKILL')
    expect(sysctls(scene.server)).toEqual(['1', '1', '1'])
    scene.server.run(process.execPath, PROGRAM, 'firewall', 'down')
    expect(sysctls(scene.server)).toEqual(['0', '1', '2'])
    expect(scene.server.run('ipset', 'list', '-n')).not.toContain('sluice-was')
  })
})

test.each([
  { proof: 'handshake', says: 'NOBODY IS BANNED', bans: 0 },
  { proof: 'none', says: 'bans go by strikes alone', bans: 1 },
])('without conntrack, proof: $proof means: $says', async ({ proof, says, bans }) => {
  const scene = new Scene()
  try {
    await serve(scene.server, 22)
    const env = { LD_PRELOAD: buildFaultLibrary(), FAULT: 'no-conntrack:1000000' }
    const sluice = await Sluice.start(scene.server, `${POLICY}\nban: {proof: ${proof}}\n`, { env })
    await eventually('it is said', () => sluice.output.includes(says))
    const client = { to: SERVER[4], port: 22, from: ATTACKER[4], timeoutMs: 800 }
    expect(await connections(scene.client, { ...client, count: BURST + 5 })).toBe(BURST)
    const strikes = 'sluice_promotions_total{service="ssh"}'
    await eventually('he is an offender', async () => (await sluice.metric(strikes)) === 1)
    await eventually('it is judged', async () => {
      const given = (await sluice.ask({ op: 'bans list' })).length
      const unproven = await sluice.metric('sluice_unproven_promotions_total{service="ssh"}')
      return given === bans && unproven === 1 - bans
    })
    expect((await sluice.status()).sessions.problem).toContain('cannot list connections')
    expect(await sluice.metric('sluice_conntrack_look_failures_total')).toBeGreaterThan(0)
    await sluice.stop()
  } finally {
    scene.close()
  }
})

test.each<{ what: string; prepare: (scene: Scene) => readonly string[]; says: string; isLeft: string }>([
  {
    what: 'a kernel that lacks the target CT',
    prepare: () => withoutExtension('-j CT '),
    says: 'No such file or directory',
    isLeft: '',
  },
  {
    what: 'rules of others that use CT',
    prepare: ({ server }) => {
      for (const command of ['iptables-nft', 'ip6tables-nft']) server.run(command, ...FOREIGN.split(' '))
      return []
    },
    says: 'rules of others in the table raw use the target CT',
    isLeft: FOREIGN.slice('-t raw '.length),
  },
])('with $what: it is said, limits hold, and who is real is banned', async ({ prepare, says, isLeft }) => {
  const scene = new Scene()
  try {
    await serve(scene.server, 22)
    const launcher = prepare(scene)
    const sluice = await Sluice.start(scene.server, `${POLICY}\nfirewall: {backend: nft}\n`, { launcher })
    const said = 'conntrack tells more than is needed of new connections: '
    await eventually('it is said', () => sluice.output.includes(said))
    expect(sluice.output).toContain(says)
    const raw = () => scene.server.run('iptables-nft-save', '-t', 'raw')
    expect(raw()).not.toContain('--ctevents')
    expect(raw()).toContain(isLeft)
    const client = { to: SERVER[4], port: 22, from: ATTACKER[4], timeoutMs: 800 }
    expect(await connections(scene.client, { ...client, count: BURST + 5 })).toBe(BURST)
    await eventually('he is banned', async () => (await sluice.ask({ op: 'bans list' })).length === 1)
    // Checks of the firewall miss nothing.
    expect(await sluice.http('/healthz')).toBe('ok\n')
    expect(await sluice.metric('sluice_firewall_repairs_total')).toBe(0)
    await sluice.stop()
    expect(raw()).toContain(isLeft)
  } finally {
    scene.close()
  }
})
