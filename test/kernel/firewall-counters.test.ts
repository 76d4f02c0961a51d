import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Host, Lab } from '../lib/lab.ts'
import { policy, service } from '../lib/policies.ts'
import { Agent, tools } from './firewall-host.ts'

const PORT = 5353
const dns = service('dns', PORT, { ports: [{ protocol: 'udp', first: PORT, last: PORT }] })

/** Sends one datagram from every source, which have to be local to `sender` (a `local` route is enough). */
async function sendFrom(sender: Host, target: string, sources: readonly string[]): Promise<void> {
  const script = `
import socket, sys
family = socket.AF_INET6 if ':' in '${target}' else socket.AF_INET
for source in sys.stdin.read().split():
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.bind((source, 0))
        s.sendto(b'x', ('${target}', ${PORT}))
`
  const child = sender.spawn('python3', ['-c', script], { stdio: ['pipe', 'ignore', 'inherit'] })
  child.stdin!.end(sources.join('\n'))
  const status = await new Promise((resolve) => child.on('close', resolve))
  if (status !== 0) throw new Error(`the sender ended with ${status}`)
}

const FAMILIES = [
  {
    family: 'IPv4',
    range: '10.128.0.0/9',
    target: (host: Host) => host.ipv4,
    /** Host `host` in the n-th network. */
    source: (n: number, host: number) => `10.${128 + (n >> 8)}.${n & 255}.${host}`,
  },
  {
    family: 'IPv6',
    range: '2001:db8::/32',
    target: (host: Host) => host.ipv6,
    source: (n: number, host: number) => `2001:db8:${n.toString(16)}:${host.toString(16)}::${host}`,
  },
]

describe.each(['nft', 'legacy'] as const)('iptables-%s', (kind) => {
  let lab: Lab
  let host: Host
  let sender: Host
  let agent: Agent

  beforeEach(() => {
    lab = Lab.create(['host', 'sender'])
    host = lab.host('host')
    sender = lab.host('sender')
    sender.run('sysctl', '-qw', 'net.ipv6.ip_nonlocal_bind=1')
    for (const { range } of FAMILIES) {
      const family = range.includes(':') ? '-6' : '-4'
      sender.run('ip', family, 'route', 'add', 'local', range, 'dev', 'lo')
      host.run('ip', family, 'route', 'add', range, 'via', family === '-6' ? sender.ipv6 : sender.ipv4)
    }
    agent = new Agent(host)
  })

  afterEach(() => {
    agent.close()
    lab.close()
  })

  const make = (threads: number) => policy([dns], { threads, firewall: { backend: kind, checkMs: 5000 } })

  async function up(threads: number): Promise<void> {
    await agent.create(make(threads))
    await agent.up()
  }

  const counted = async () => (await agent.verify()).queuePackets

  describe.each(FAMILIES)('several threads and $family', ({ target, source }) => {
    test('source networks split evenly over the queues', async () => {
      await up(3)
      const networks = Array.from({ length: 3000 }, (_, n) => source(n, 1))
      await sendFrom(sender, target(host), networks)
      const counts = Object.entries(await counted())
      expect(counts.map(([queue]) => queue)).toEqual(['9713', '9714', '9715'])
      expect(counts.reduce((sum, [, packets]) => sum + packets, 0)).toBe(3000)
      for (const [, packets] of counts) expect(Math.abs(packets - 1000)).toBeLessThan(100)
    })

    test('all hosts of a network are in the same queue', async () => {
      await up(4)
      for (const network of [0, 1, 2, 77, 2000]) {
        const before = await counted()
        await sendFrom(
          sender,
          target(host),
          Array.from({ length: 40 }, (_, i) => source(network, i + 1)),
        )
        const after = await counted()
        const grown = Object.keys(after).map((queue) => after[queue]! - (before[queue] ?? 0))
        expect(grown.sort((a, b) => a - b)).toEqual([0, 0, 0, 40])
      }
    })
  })

  test('packets that pass with nobody listening are counted, whoever rewrites the rules', async () => {
    await up(1)
    const send = () => sendFrom(sender, host.ipv4, Array<string>(10).fill(sender.ipv4))
    await send()
    expect(await counted()).toEqual({ 9713: 10 })
    await agent.apply(make(1))
    expect(await counted()).toEqual({ 9713: 10 })
    await send()
    for (const tool of tools(kind)) host.run(tool, '-t', 'mangle', '-Z')
    expect((await counted())[9713]).toBeGreaterThanOrEqual(10)
    for (const tool of tools(kind)) host.run(tool, '-t', 'mangle', '-F')
    await agent.repair()
    const repaired = (await counted())[9713]!
    await send()
    expect((await counted())[9713]).toBe(repaired + 10)
  })

  test('what an earlier process left in the counters is not counted', async () => {
    await up(1)
    await sendFrom(sender, host.ipv4, [sender.ipv4])
    const next = new Agent(host)
    await next.create(make(1))
    await next.up()
    expect((await next.verify()).queuePackets).toEqual({ 9713: 0 })
    next.close()
  })
})
