import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../lib/eventually.ts'
import { guessPassword } from '../lib/guess-password.ts'
import { Hydra } from '../lib/hydra.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { Sshd } from '../lib/sshd.ts'

// Real sessions with a real sshd. The limits are wide enough that no ban here is for a refusal.

const TOTAL = 30
const POLICY = `
services:
  ssh:
    ports: [22]
    limits:
      source: {burst: 1000, rate: 100/s}
      total: {burst: 1000, rate: 100/s}
      known: {burst: 1000, rate: 100/s}
    failures: {tries: 5, forget: 30m}
    outcome: ssh
networks: {sources: 4}
`
const TIGHT = POLICY.replace('source: {burst: 1000, rate: 100/s}', 'source: {burst: 6, rate: 30/h}').replace(
  'total: {burst: 1000, rate: 100/s}',
  `total: {burst: ${TOTAL}, rate: 30/h}`,
)
/** As guides for hardening advise. */
const HARDENED = [
  'KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org',
  'Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes256-ctr',
  'MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-256',
]
const SLOW = 120_000

let scene: Scene
let sshd: Sshd
let sluice: Sluice

beforeAll(async () => {
  scene = new Scene()
  sshd = await Sshd.start(scene.server)
  sluice = await Sluice.start(scene.server, POLICY)
})
afterAll(() => scene.close())

const bans = () => sluice.ask({ op: 'bans list' })
const login = (from: string, command = 'seq 3000') =>
  sshd.login(scene.client, from, from.includes(':') ? SERVER[6] : SERVER[4], command)
const guess = (from: string) => guessPassword(scene.client, from, from.includes(':') ? SERVER[6] : SERVER[4])

/** Waits until `count` sessions of that outcome have been judged since the start. */
async function judged(outcome: string, count: number): Promise<void> {
  const sample = `sluice_session_outcomes_total{service="ssh",outcome="${outcome}"}`
  await eventually(
    `${count} sessions are judged ${outcome}`,
    async () => (await sluice.metric(sample)) >= count,
  )
}

async function outcomes(outcome: string): Promise<number> {
  return sluice.metric(`sluice_session_outcomes_total{service="ssh",outcome="${outcome}"}`)
}

describe.each([4, 6] as const)('over IPv%d', (family) => {
  test(
    'who mistypes three times and then gets in is not banned, is known good, and can be forgotten',
    async () => {
      const from = HONEST[family]
      const closedTotal = () => sluice.metric('sluice_sessions_closed_total{service="ssh"}')
      const [closedBefore, succeededBefore] = [await closedTotal(), await outcomes('succeeded')]
      for (let round = 1; round <= 2; round++) {
        const [failed, succeeded] = [await outcomes('failed'), await outcomes('succeeded')]
        for (let i = 0; i < 3; i++) expect(await guess(from)).toBe('refused')
        await judged('failed', failed + 3)
        // The second is seen to have succeeded while it goes on, and then to be over, and is one all the same.
        expect(await login(from, round === 1 ? 'seq 3000' : 'seq 3000; sleep 2')).toBeDefined()
        await judged('succeeded', succeeded + 1)
      }
      await eventually('all are over', async () => (await closedTotal()) >= closedBefore + 8)
      expect(await outcomes('succeeded')).toBe(succeededBefore + 2)
      expect(await bans()).toEqual([])
      const source = family === 4 ? from : '2001:db8:600d::/64'
      expect(await sluice.ask({ op: 'allow learned' })).toMatchObject([
        { source, service: 'ssh', successes: 2 },
      ])
      expect((await sluice.cli('allow', 'list', '--learned')).stdout).toContain(source)
      const known = 'sluice_packets_total{service="ssh",verdict="accept",reason="known-good"}'
      const succeeded = await outcomes('succeeded')
      expect(await login(from)).toBeDefined()
      expect(await sluice.metric(known)).toBeGreaterThan(0)
      // Whoever is forgotten before his session is judged is known good by that again.
      await judged('succeeded', succeeded + 1)
      const { stdout } = await sluice.cli('allow', 'forget', source)
      expect(stdout).toBe(`${source} is no longer known good to ssh\n`)
      expect(await sluice.ask({ op: 'allow learned' })).toEqual([])
    },
    SLOW,
  )

  test(
    'a guesser is banned for what became of his sessions, however he changes his address',
    async () => {
      // All but the last 64 bits are his own.
      const addresses = Array.from({ length: 5 }, (_, i) => `2001:db8:bad::${(i + 1).toString(16)}`)
      if (family === 6) scene.client.addAddress(...addresses.map((address) => `${address}/128`))
      const from = (i: number) => (family === 4 ? ATTACKER[4] : addresses[i]!)
      for (let i = 0; i < 5; i++) {
        const failed = await outcomes('failed')
        expect(await guess(from(i))).toBe('refused')
        await judged('failed', failed + 1)
      }
      const prefix = family === 4 ? ATTACKER[4] : '2001:db8:bad::/64'
      expect(await bans()).toMatchObject([
        { prefix, scope: 'ssh', reason: '5 failed logins', proof: 'handshake' },
      ])
      expect(await guess(from(0))).toBe('unreachable')
      await sluice.ask({ op: 'bans remove', prefix })
    },
    SLOW,
  )
})

test(
  'a network of guessers is banned around the one who belongs there',
  async () => {
    const address = (i: number) => `198.51.100.${100 + i}`
    scene.client.addAddress(...Array.from({ length: 6 }, (_, i) => `${address(i)}/32`))
    const [friend, stranger] = [address(4), address(5)]
    const succeeded = await outcomes('succeeded')
    expect(await login(friend)).toBeDefined()
    await judged('succeeded', succeeded + 1)
    for (let i = 0; i < 4; i++) {
      const failed = await outcomes('failed')
      expect(await guess(address(i))).toBe('refused')
      await judged('failed', failed + 1)
    }
    const prefixes = (await bans()).map(({ prefix }) => prefix)
    expect(prefixes).toHaveLength(8)
    expect(prefixes).toContain('198.51.100.128/25')
    expect(prefixes).not.toContain(friend)
    expect(await guess(stranger)).toBe('unreachable')
    expect(await login(friend)).toBeDefined()
    expect(await sluice.metric('sluice_network_offences_total{service="ssh"}')).toBe(1)
    for (const prefix of prefixes) await sluice.ask({ op: 'bans remove', prefix })
  },
  SLOW,
)

test(
  '2,000 addresses that guess at once get what strangers have, and the administrator gets in every time',
  async () => {
    const admin = HONEST[4]
    const succeeded = await outcomes('succeeded')
    expect(await login(admin)).toBeDefined()
    await judged('succeeded', succeeded + 1)
    sluice.write(TIGHT)
    expect((await sluice.cli('reload')).status).toBe(0)
    // Each in a /24 of its own, as far as the limits can tell: 10.A.B.1.
    const strangers = Array.from({ length: 2000 }, (_, i) => `10.${100 + (i >> 8)}.${i & 255}.1`)
    addAddresses(strangers)
    const before = strangerConnections()
    const guessing = connectFrom(strangers)
    const logins: (number | undefined)[] = []
    for (let i = 0; i < 5; i++) logins.push(await login(admin))
    await guessing
    expect(logins).not.toContain(undefined)
    // Over an hour the total lets through its burst and 30 more; the attack takes about a minute.
    const seen = strangerConnections() - before
    expect(seen).toBeGreaterThanOrEqual(TOTAL - 5)
    expect(seen).toBeLessThanOrEqual(TOTAL + 10)
    // The limit of strangers is used up, and that is nothing to who belongs.
    expect(await login(admin)).toBeDefined()
  },
  SLOW,
)

// Servers say more or less before a login than the one that the numbers of the policy were measured with.
describe('the sshd of the host is heard, and its sessions are judged by what it says', () => {
  test.each<[string, readonly string[], readonly string[], number, string]>([
    ['with few algorithms', ['ed25519'], HARDENED, 1, 'begins with'],
    // hydra asks which logins there are, and then puts six passwords into one session: more than the policy's bound.
    ['with three host keys', ['rsa', 'ecdsa', 'ed25519'], [], 2, 'ecdsa-sha2-nistp256'],
  ])(
    '%s',
    async (_, hostKeys, config, failures, said) => {
      const own = new Scene()
      try {
        const server = await Sshd.start(own.server, { hostKeys, config })
        const daemon = await Sluice.start(own.server, POLICY)
        const counts = async (outcome: string) =>
          daemon.metric(`sluice_session_outcomes_total{service="ssh",outcome="${outcome}"}`)
        for (let i = 0; i < 5; i++) {
          expect(await server.login(own.client, HONEST[4], SERVER[4], 'true; echo')).toBeDefined()
        }
        await eventually('five sessions are judged', async () => (await counts('unclear')) >= 5)
        expect(await counts('failed')).toBe(0)
        const hydra = new Hydra(own.client, `ssh://${SERVER[4]}`, 1)
        await eventually('sessions have failed', async () => (await counts('failed')) >= failures)
        await hydra.close()
        const { stdout } = await daemon.cli('explain', HONEST[4])
        expect(stdout).toMatch(
          /sessions of ssh are judged for OpenSSH_\S+ as it is here: it begins with \d+ bytes/,
        )
        expect(stdout).toContain(said)
        expect(server.log()).toContain('sluice reads which host keys this server has')
        const bound = await daemon.metric('sluice_failed_session_bytes{service="ssh"}')
        // The policy's own is 1,880.
        if (config.length > 0) expect(bound).toBeLessThan(1600)
        else expect(bound).toBeGreaterThan(2200)
      } finally {
        own.close()
      }
    },
    SLOW,
  )
})

function addAddresses(addresses: readonly string[]): void {
  const script = addresses.map((address) => `addr add ${address}/32 dev eth0`).join('\n')
  scene.client.run('sh', '-c', `echo '${script}' | ip -batch -`)
  scene.server.run('ip', 'route', 'add', '10.96.0.0/12', 'via', scene.client.ipv4)
}

/** Connections that sshd has taken from them. */
function strangerConnections(): number {
  return sshd.log().match(/^Connection from 10\.1\d\d\./gm)?.length ?? 0
}

/** One connection from each, all within a few seconds, each given up after one more. */
async function connectFrom(addresses: readonly string[]): Promise<void> {
  const program = `
    const { connect } = require('node:net')
    const [host, ...from] = process.argv.slice(1)
    from.forEach((localAddress, i) => setTimeout(() => {
      const socket = connect({ host, port: 22, localAddress })
      socket.on('error', () => {})
      setTimeout(() => socket.destroy(), 1000)
    }, i * 3))`
  const { status, stderr } = await scene.client.attempt(
    process.execPath,
    '-e',
    program,
    SERVER[4],
    ...addresses,
  )
  expect(stderr).toBe('')
  expect(status).toBe(0)
}
