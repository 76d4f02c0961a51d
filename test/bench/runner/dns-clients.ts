import { writeFileSync } from 'node:fs'
import { reverseOf } from '../../lib/dns-query.ts'
import { type Arena, droppedBy, FLOOD_NETWORK } from './arena.ts'

/** Each in a /24 of its own; a twelfth of what it asks is reverse: 60 queries a second. */
const CLIENTS = 5
const RATES = { forward: 55, reverse: 5 } as const
type Kind = keyof typeof RATES
const PORTS: Readonly<Record<Kind, number>> = { forward: 5300, reverse: 5400 }

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

/** An answer with TC: the bit 0x0200 of the second word of the DNS header, behind 20 bytes of IP and 8 of UDP. */
const TRUNCATED = '-m u32 --u32 28&0x0200=0x0200'

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
  for (let i = 0; i < CLIENTS; i++) sender.addAddress(`${address(i)}/32`)
  const count = (chain: string, match: string) => {
    const rule = `-A PREROUTING -p udp --sport 53 ${match} ${TRUNCATED} -j ${chain}`
    sender.run('iptables', '-t', 'raw', '-N', chain)
    sender.run('iptables', '-t', 'raw', ...rule.split(' '))
  }
  count('slips', `-d ${FLOOD_NETWORK}`)
  for (const [kind, port] of Object.entries(PORTS)) count(kind, `-d 10.90.0.0/16 --dport ${port}`)
}

/** Truncated answers that the flood's sources, forged or not, have got so far. */
export function slips({ sender }: Arena): number {
  return droppedBy(sender, 'raw', 'slips')
}

/** The honest clients ask for so many seconds, by dnsperf. What is not answered within a second is lost. */
export async function askHonestly(arena: Arena, seconds: number): Promise<Record<Kind, Asked>> {
  const [forward, reverse] = await Promise.all([
    askAll(arena, 'forward', seconds),
    askAll(arena, 'reverse', seconds),
  ])
  return { forward, reverse }
}

async function askAll(arena: Arena, kind: Kind, seconds: number): Promise<Asked> {
  const before = droppedBy(arena.sender, 'raw', kind)
  const all = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => ask(arena, kind, i, seconds)))
  const truncated = droppedBy(arena.sender, 'raw', kind) - before
  const sum = (of: 'sent' | 'noError') => all.reduce((total, each) => total + each[of], 0)
  return { sent: sum('sent'), answered: sum('noError') - truncated, truncated }
}

async function ask({ server, sender }: Arena, kind: Kind, client: number, seconds: number) {
  const questions = QUESTIONS[kind]
  const from = Math.floor((client * questions.length) / CLIENTS)
  const file = sender.scratch().path('questions')
  writeFileSync(file, [...questions.slice(from), ...questions.slice(0, from), ''].join('\n'))
  const amount = ['-Q', RATES[kind], '-l', seconds, '-t', 1, '-x', PORTS[kind]].map(String)
  const args = ['-s', server.ipv4, '-a', address(client), '-d', file, ...amount]
  const { stdout, stderr } = await sender.attempt('dnsperf', ...args)
  const sent = /Queries sent:\s+(\d+)/.exec(stdout)
  if (sent === null) throw new Error(`dnsperf has said: ${stdout}${stderr}`)
  return { sent: Number(sent[1]), noError: Number(/NOERROR (\d+)/.exec(stdout)?.[1] ?? 0) }
}

function address(client: number): string {
  return `10.90.${client}.7`
}
