import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Family } from '../../../src/net/prefix.ts'
import { reverseOf } from '../../lib/dns-query.ts'
import { type Arena, droppedBy, FLOOD_NETWORKS, iptables } from './arena.ts'

/** Each in a /24 of its own; a twelfth of what it asks is reverse: 60 queries a second. */
const CLIENTS = 5
const RATES = { forward: 55, reverse: 5 } as const
type Kind = keyof typeof RATES
const PORTS: Readonly<Record<Kind, number>> = { forward: 5300, reverse: 5400 }

/** Where all honest clients live. */
export const CLIENT_NETWORKS: Readonly<Record<Family, string>> = {
  4: '10.88.0.0/13',
  6: '2001:db8:c000::/36',
}

/** Strangers that look up one name each, and how long each waits in between. */
const STRANGERS = 5
const STRANGER_PAUSE_MS = 100

/** Names in site.test, n0 and so on. */
export const FORWARD_NAMES = 10_000

/** What the clients ask for, below in-addr.arpa: hosts all over the world, so that they are no sweep. */
export const REVERSE_ADDRESSES: readonly string[] = Array.from({ length: CLIENTS * 200 }, (_, i) =>
  reverseOf(Math.imul(i + 1, 0x9e3779b1) >>> 0).replace('.in-addr.arpa', ''),
).filter((name) => !name.endsWith('.18.198'))

const QUESTIONS: Readonly<Record<Kind, readonly string[]>> = {
  forward: Array.from({ length: FORWARD_NAMES }, (_, i) => `n${i}.site.test A`),
  reverse: REVERSE_ADDRESSES.map((name) => `${name}.in-addr.arpa PTR`),
}

/** An answer with TC: the bit 0x0200 of the second word of the DNS header, behind the headers of IP and UDP. */
const TRUNCATED: Readonly<Record<Family, string>> = {
  4: '-m u32 --u32 28&0x0200=0x0200',
  6: '-m u32 --u32 48&0x0200=0x0200',
}

/** What became of the queries of one kind. */
export interface Asked {
  readonly sent: number
  /** With an answer in it. */
  readonly answered: number
  /** Told to come back over TCP, as dnsperf does not. */
  readonly truncated: number
}

/** Gives the honest clients of an arena their addresses, and counts the truncated answers that reach its sender. */
export function settleClients({ sender }: Arena): void {
  // A whole network is local by its route; for IPv6, programs may bind to what is no address of an interface only so.
  sender.run('sysctl', '-qw', 'net.ipv6.ip_nonlocal_bind=1')
  for (const family of [4, 6] as const) {
    sender.run('ip', `-${family}`, 'route', 'add', 'local', CLIENT_NETWORKS[family], 'dev', 'lo')
    const count = (chain: string, match: string) => {
      const rule = `-A PREROUTING -p udp --sport 53 ${match} ${TRUNCATED[family]} -j ${chain}`
      sender.run(iptables(family), '-t', 'raw', '-N', chain)
      sender.run(iptables(family), '-t', 'raw', ...rule.split(' '))
    }
    count('slips', `-d ${FLOOD_NETWORKS[family]}`)
    for (const [kind, port] of Object.entries(PORTS))
      count(kind, `-d ${CLIENT_NETWORKS[family]} --dport ${port}`)
  }
}

/** Truncated answers that the flood's sources, forged or not, have got so far. */
export function slips({ sender }: Arena, family: Family): number {
  return droppedBy(sender, 'raw', 'slips', family)
}

/** The honest clients ask for so many seconds, by dnsperf. What is not answered within a second is lost. */
export async function askHonestly(
  arena: Arena,
  seconds: number,
  family: Family,
): Promise<Record<Kind, Asked>> {
  const [forward, reverse] = await Promise.all([
    askAll(arena, 'forward', seconds, family),
    askAll(arena, 'reverse', seconds, family),
  ])
  return { forward, reverse }
}

/**
 * Honest resolvers that nobody has seen before look up one reverse name each, for so many seconds: three tries by
 * `dig`, a second each, and over TCP when they are told to.
 */
export async function lookUpAsStrangers(arena: Arena, seconds: number, family: Family): Promise<Asked> {
  const { server, sender } = arena
  const endMs = performance.now() + seconds * 1000
  const asked = { sent: 0, answered: 0, truncated: 0 }
  const lookUp = async () => {
    while (performance.now() < endMs) {
      const n = asked.sent++
      const name = `${REVERSE_ADDRESSES[n % REVERSE_ADDRESSES.length]}.in-addr.arpa`
      const args = [`@${family === 4 ? server.ipv4 : server.ipv6}`, '-b', address(family, STRANGER + n)]
      const { stdout } = await sender.attempt('dig', ...args, '+tries=3', '+timeout=1', '+short', 'PTR', name)
      // Before the answer it may say which tries have timed out.
      if (stdout.endsWith('host.example.test.\n')) asked.answered++
      await sleep(STRANGER_PAUSE_MS)
    }
  }
  await Promise.all(Array.from({ length: STRANGERS }, lookUp))
  return asked
}

async function askAll(arena: Arena, kind: Kind, seconds: number, family: Family): Promise<Asked> {
  const before = droppedBy(arena.sender, 'raw', kind, family)
  const all = await Promise.all(
    Array.from({ length: CLIENTS }, (_, i) => ask(arena, kind, i, seconds, family)),
  )
  const truncated = droppedBy(arena.sender, 'raw', kind, family) - before
  const sum = (of: 'sent' | 'noError') => all.reduce((total, each) => total + each[of], 0)
  return { sent: sum('sent'), answered: sum('noError') - truncated, truncated }
}

async function ask({ server, sender }: Arena, kind: Kind, client: number, seconds: number, family: Family) {
  const questions = QUESTIONS[kind]
  const from = Math.floor((client * questions.length) / CLIENTS)
  const file = sender.scratch().path('questions')
  writeFileSync(file, [...questions.slice(from), ...questions.slice(0, from), ''].join('\n'))
  const amount = ['-Q', RATES[kind], '-l', seconds, '-t', 1, '-x', PORTS[kind]].map(String)
  const to = family === 4 ? server.ipv4 : server.ipv6
  const args = [
    '-s',
    to,
    '-f',
    family === 4 ? 'inet' : 'inet6',
    '-a',
    address(family, client),
    '-d',
    file,
    ...amount,
  ]
  const { stdout, stderr } = await sender.attempt('dnsperf', ...args)
  const sent = /Queries sent:\s+(\d+)/.exec(stdout)
  if (sent === null) throw new Error(`dnsperf has said: ${stdout}${stderr}`)
  return { sent: Number(sent[1]), noError: Number(/NOERROR (\d+)/.exec(stdout)?.[1] ?? 0) }
}

/** Of the first stranger; the clients come before. */
const STRANGER = 256

/** Each in a network of its own. */
function address(family: Family, n: number): string {
  return family === 4 ? `10.${88 + (n >> 8)}.${n & 255}.7` : `2001:db8:c${n.toString(16).padStart(3, '0')}::7`
}
