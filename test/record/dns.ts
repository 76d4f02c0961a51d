import { ATTACKER, SERVER } from '../lib/scene.ts'
import { startBind } from './bind.ts'
import { seeded } from './random.ts'
import type { Stage } from './stage.ts'

interface Load {
  /** An address of the sender. */
  readonly from: string
  /** A file of names and types. */
  readonly queries: string
  /** Undefined: all at once. */
  readonly perSecond?: number
  /** Undefined: the file once. */
  readonly seconds?: number
}

/** dnsperf from one address. */
async function load(stage: Stage, { from, queries, perSecond, seconds }: Load): Promise<void> {
  const pace = perSecond === undefined ? [] : ['-Q', String(perSecond)]
  const end = seconds === undefined ? ['-n', '1'] : ['-l', String(seconds)]
  const args = ['-s', SERVER[4], '-a', from, '-e', '-d', queries, ...pace, ...end]
  await stage.client.attempt('dnsperf', ...args)
}

/** Eight people's browsers and one busy resolver behind them, for half a minute; one browser starts. */
export async function honestClients(stage: Stage): Promise<void> {
  const random = seeded(53)
  const queries = stage.write(
    'sites',
    Array.from(
      { length: 500 },
      () => `www${Math.floor(random() * 200)}.site.test ${random() < 0.5 ? 'A' : 'AAAA'}`,
    ),
  )
  const start = stage.write(
    'start',
    Array.from({ length: 63 }, (_, i) => `start${i}.site.test ${i % 2 === 0 ? 'A' : 'AAAA'}`),
  )
  const people = Array.from({ length: 8 }, (_, i) => `198.51.100.${11 + i}`)
  const resolver = '198.51.100.53'
  for (const address of [...people, resolver]) stage.addClient(address)
  await startBind(stage.server)
  await Promise.all([
    ...people.map((from) => load(stage, { from, queries, perSecond: 7, seconds: 30 })),
    load(stage, { from: resolver, queries, perSecond: 60, seconds: 30 }),
    load(stage, { from: people[0]!, queries: start }),
  ])
}

/** The names of 198.18.0.0/22, one after the other. */
export async function sweep(stage: Stage): Promise<void> {
  const queries = stage.write(
    'sweep',
    Array.from({ length: 1024 }, (_, i) => reverse(i)),
  )
  await startBind(stage.server)
  await load(stage, { from: ATTACKER[4], queries, perSecond: 50 })
}

/** Reverse names of 198.18.0.0/15 at random. */
export async function ptrFlood(stage: Stage): Promise<void> {
  const random = seeded(12)
  const queries = stage.write(
    'reverse',
    Array.from({ length: 5000 }, () => reverse(Math.floor(random() * 2 ** 16))),
  )
  await startBind(stage.server)
  await load(stage, { from: ATTACKER[4], queries, perSecond: 1500, seconds: 3 })
}

/** THC-IPv6 walks the reverse names of the server's /48. */
export async function walk(stage: Stage): Promise<void> {
  await startBind(stage.server)
  await stage.client.attempt('atk6-dnsrevenum6', SERVER[4], '2001:db8:1::/48')
}

/** Many small questions with one large answer, in the name of a victim. */
export async function amplification(stage: Stage): Promise<void> {
  const victim = '198.51.100.99'
  stage.addClient(victim)
  const queries = stage.write('large', ['big.test ANY'])
  await startBind(stage.server)
  await load(stage, { from: victim, queries, perSecond: 1500, seconds: 3 })
}

/** Ten resolvers answer to the server what a third host has asked in its name. */
export async function unsolicited(stage: Stage): Promise<void> {
  const resolvers = Array.from({ length: 10 }, (_, i) => `203.0.113.${101 + i}`)
  for (const address of resolvers) stage.addClient(address)
  const spoofer = stage.scene.lab.host('spoofer')
  // It must neither answer for the server's address nor ask in its name: the bridge would send it the answers.
  spoofer.run('sysctl', '-qw', 'net.ipv4.conf.all.arp_ignore=1', 'net.ipv4.conf.all.arp_announce=2')
  spoofer.run('ip', 'addr', 'add', `${SERVER[4]}/32`, 'dev', 'lo')
  spoofer.run('ip', 'route', 'add', '203.0.113.0/24', 'dev', 'eth0', 'src', SERVER[4])
  await startBind(stage.client)
  const queries = stage.write('large', ['big.test ANY'])
  const pace = ['-Q', '40', '-l', '5', '-q', '1000', '-t', '1', '-e']
  await Promise.all(
    resolvers.map((to) => spoofer.attempt('dnsperf', '-s', to, '-a', SERVER[4], '-d', queries, ...pace)),
  )
}

function reverse(index: number): string {
  return `${index & 255}.${index >> 8}.18.198.in-addr.arpa PTR`
}
