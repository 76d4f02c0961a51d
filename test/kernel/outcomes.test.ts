import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parsePolicy } from '../../src/config/load.ts'
import { judgeSession, type Outcome } from '../../src/control/evidence/outcome.ts'
import type { Session, Volume } from '../../src/control/sessions/session.ts'
import { type Family, formatPrefix, parsePrefix } from '../../src/net/prefix.ts'
import type { Flow } from '../../src/replay/flows/flow-tracker.ts'
import { eventually } from '../lib/eventually.ts'
import type { Host } from '../lib/lab.ts'
import { Postfix } from '../lib/postfix.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sshd } from '../lib/sshd.ts'
import { readSessions } from '../measure/read-sessions.ts'
import { Recorder } from '../record/recorder.ts'

const PORTS = [22, 587]
const SMTP = new URL('../measure/programs/smtp.py', import.meta.url).pathname
const shipped = parsePolicy(readFileSync('rules/sluice.yaml', 'utf8'), 'rules/sluice.yaml')

/** A conntrack entry: what live sluice knows of a session. */
interface Entry {
  readonly from: string
  readonly clientPort: number
  readonly port: number
  readonly toServer: Volume
  readonly toClient: Volume
}

// Real servers, real clients, and the same traffic seen twice: by the kernel's conntrack, and by tcpdump.
describe.each([4, 6] as const)('over IPv%i', (family) => {
  let scene: Scene
  let entries: readonly Entry[]
  let flows: readonly Flow[]

  beforeAll(async () => {
    scene = new Scene()
    const { server } = scene
    for (const command of ['iptables', 'ip6tables']) {
      // A namespace's conntrack begins when a rule asks for it.
      server.run(command, '-A', 'INPUT', '-m', 'conntrack', '--ctstate', 'NEW', '-j', 'ACCEPT')
    }
    server.run('sysctl', '-qw', 'net.netfilter.nf_conntrack_acct=1')
    const sshd = await Sshd.start(server)
    await Postfix.start(server, ['smtpd_hard_error_limit = 20'])
    const recorder = await Recorder.start(server, 'tcp port 22 or tcp port 587', 128)
    await drive(scene, sshd, family)
    const path = server.scratch().path('capture')
    writeFileSync(path, await recorder.stop())
    flows = await readSessions(path, PORTS)
    entries = await eventually('all sessions are over', async () => {
      const list = server.run('conntrack', '-L', '-f', `ipv${family}`, '-p', 'tcp', '-o', 'extended')
      return list.includes('ESTABLISHED') ? undefined : parseEntries(list)
    })
  }, 120_000)

  afterAll(() => scene.close())

  test('a capture gives the very numbers that conntrack has', () => {
    const ofFlow = ({ address, clientPort, serverPort, toServer, toClient }: Flow): Entry => ({
      from: formatPrefix(address),
      clientPort,
      port: serverPort,
      toServer,
      toClient,
    })
    expect(flows.length).toBeGreaterThanOrEqual(6)
    expect(sorted(flows.map(ofFlow))).toEqual(sorted(entries))
  })

  test.each<[string, string, number, readonly Outcome[][]]>([
    ['a wrong password, and three', ATTACKER[family], 22, [['failed'], ['failed', 'unclear']]],
    [
      'an SSH login, and one that reads a file',
      HONEST[family],
      22,
      [['succeeded', 'unclear'], ['succeeded']],
    ],
    ['a refused SMTP login, and eight', ATTACKER[family], 587, [['unclear'], ['failed']]],
    ['an SMTP login, and one with a mail', HONEST[family], 587, [['unclear'], ['succeeded']]],
  ])('%s is judged as it was', (_, from, port, expected) => {
    const model = shipped.services.find(({ ports }) =>
      ports.some(({ first, last }) => first <= port && port <= last),
    )!.outcome!
    const judged = entries
      .filter((entry) => entry.from === from && entry.port === port)
      .sort((a, b) => volume(a) - volume(b))
      .map((entry) => judgeSession(sessionOf(entry), model))
    expect(judged.length).toBe(expected.length)
    for (const [i, outcome] of judged.entries()) expect(expected[i]).toContain(outcome)
  })
})

/** A failure and a success of each kind, and a longer one of each. */
async function drive({ client }: Scene, sshd: Sshd, family: Family): Promise<void> {
  const to = SERVER[family]
  for (const count of [1, 3]) await guess(client, ATTACKER[family], to, count)
  await sshd.login(client, HONEST[family], to)
  await sshd.login(client, HONEST[family], to, 'cat /usr/bin/env')
  const smtp = (from: string, ...steps: string[]) =>
    client.attempt('env', `FROM=${from}`, '/usr/bin/python3', SMTP, to, '587', 'plain', ...steps)
  await smtp(ATTACKER[family], 'login:wrong')
  await smtp(ATTACKER[family], ...Array.from({ length: 8 }, (_, i) => `login:guess${i}`))
  await smtp(HONEST[family], 'login:right')
  await smtp(HONEST[family], 'login:right', 'mail:20000')
}

/** OpenSSH's client, with the question itself for a password. */
async function guess(client: Host, from: string, to: string, count: number): Promise<void> {
  const options = {
    BindAddress: from,
    NumberOfPasswordPrompts: String(count),
    PreferredAuthentications: 'password',
    StrictHostKeyChecking: 'no',
    UserKnownHostsFile: '/dev/null',
  }
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const ask = ['SSH_ASKPASS=/bin/echo', 'SSH_ASKPASS_REQUIRE=force']
  await client.attempt('env', ...ask, 'ssh', '-F', 'none', ...flags, `alice@${to}`)
}

/** The lines of `conntrack -L -o extended`, those of our ports. */
function parseEntries(list: string): Entry[] {
  const pattern =
    /src=(\S+) dst=\S+ sport=(\d+) dport=(\d+) packets=(\d+) bytes=(\d+) src=\S+ dst=\S+ sport=\d+ dport=\d+ packets=(\d+) bytes=(\d+)/g
  return [...list.matchAll(pattern)].flatMap(([, from, ...numbers]) => {
    const [clientPort, port, packets, bytes, packetsBack, bytesBack] = numbers.map(Number) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    if (!PORTS.includes(port)) return []
    return {
      from: formatPrefix(parsePrefix(from!)),
      clientPort,
      port,
      toServer: { packets, bytes },
      toClient: { packets: packetsBack, bytes: bytesBack },
    }
  })
}

function sessionOf({ from, toServer, toClient }: Entry): Session {
  const address = parsePrefix(from)
  const counted = { durationMs: 500, hasTimestamps: true, toServer, toClient }
  return { source: address, address, service: '', ...counted, isKnown: false }
}

function sorted(entries: readonly Entry[]): Entry[] {
  return [...entries].sort((a, b) => a.clientPort - b.clientPort || a.port - b.port)
}

function volume({ toServer, toClient }: Entry): number {
  return toServer.bytes + toClient.bytes
}
