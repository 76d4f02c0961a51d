import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'

/** Run in a process of its own, with the garbage collector at hand. */
const PROGRAM = `
  import { TestPath } from './test/lib/path.ts'
  import { policy, service } from './test/lib/policies.ts'
  import { packet } from './test/lib/packets.ts'
  import { ptrQuery, query, reverseOf } from './test/lib/dns-query.ts'
  import { parsePrefix } from './src/net/prefix.ts'

  const limit = { burst: 3, ratePerSecond: 1 }
  const limits = { source: limit, network: { burst: 50, ratePerSecond: 9 }, total: { burst: 9e5, ratePerSecond: 9e5 }, known: limit }
  const dnsLimit = { source: limit, network: { burst: 5e4, ratePerSecond: 5e4 }, total: { burst: 9e5, ratePerSecond: 9e5 } }
  const sweep = { names: 30, partial: 16, withinMs: 60000, source: limit, network: { burst: 50, ratePerSecond: 9 } }
  const dns = { reverse: dnsLimit, malformed: dnsLimit, sweep, flood: { usualPerSecond: 100, factor: 4, calmMs: 1000 }, slip: 2 }
  const outcome = { kind: 'smtp' }
  const options = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]
  const ssh = service('ssh', 22, { limits, outcome, ban: { strikes: 9, withinMs: 1000 } })
  const ofDns = service('dns', 53, { dns: true, ports: [{ protocol: 'udp', first: 53, last: 53 }], limits: dnsLimit })
  const path = new TestPath(policy([ssh, ofDns], { sources: 4096, dns }))
  for (const prefix of ['10.0.3.2', '2001:db8:3::/64', '10.0.4.0/24'])
    path.known.set(parsePrefix(prefix), 0, 1, 1e9, 0)
  const queries = [
    (i) => query({ name: 'www' + i + '.example.org' }),
    (i) => ptrQuery(reverseOf(0xc6120000 + i)),
    (i) => ptrQuery(reverseOf(Math.imul(i, 0x9e3779b1) >>> 0)),
    (i) => ptrQuery([...i.toString(16).padStart(32, '0')].reverse().join('.') + '.ip6.arpa'),
    (i) => ptrQuery([...i.toString(16).padStart(9, '0')].reverse().join('.') + '.ip6.arpa'),
    (i) => query({ name: 'a', counts: [2, 0, 0, 0] }),
  ]
  const ofClients = Array.from({ length: 2000 }, (_, i) =>
    packet({ from: i % 2 ? '2001:db8:' + i.toString(16) + '::1' : '10.1.' + (i & 7) + '.' + (i & 255), port: 53,
      protocol: 'udp', payload: queries[i % queries.length](i) }))
  const ofAttackers = Array.from({ length: 2000 }, (_, i) =>
    packet({ from: i % 2 ? '2001:db8:' + i.toString(16) + '::1' : '10.0.' + (i >> 8) + '.' + (i & 255), port: 22, sequence: i, options }))
  const packets = ofAttackers.flatMap((each, i) => [each, ofClients[i]])
  const run = (count) => {
    for (let i = 0; i < count; i += 64) {
      const nowMs = i / 100
      path.pipeline.holds.beginBatch(64, true, path.pipeline.policy, nowMs)
      for (let k = 0; k < 64; k++) {
        const bytes = packets[(i + k) % packets.length]
        path.pipeline.expect(bytes, 0, bytes.length)
      }
      path.pipeline.fetch()
      for (let k = 0; k < 64; k++) {
        const bytes = packets[(i + k) % packets.length]
        path.pipeline.judge(bytes, 0, bytes.length, nowMs)
      }
    }
  }
  // Until the compiler has settled, which takes longer on a busy machine, its own work is on the heap too.
  const grown = () => {
    gc()
    const before = process.memoryUsage().heapUsed
    run(1_000_000)
    return process.memoryUsage().heapUsed - before
  }
  console.log(Math.min(...Array.from({ length: 8 }, grown)))
  if (path.holds.drain().length === 0) throw new Error('nobody was handed over to be held')
  const { sweeps, dnsKinds } = path.pipeline.counters
  if (!sweeps.some((count) => count > 0) || path.pipeline.dns.rate.state(path.pipeline.policy, 0).floods === 0)
    throw new Error('no sweep or flood was recognised')
  if (dnsKinds.slice(0, 4).some((count, kind) => kind !== 2 && count === 0)) throw new Error('a kind is missing')
`

test('judging a million packets leaves the heap as it was, without any collection', () => {
  const args = ['--expose-gc', '--import', 'tsx', '--input-type=module', '-e', PROGRAM]
  const grown = Number(execFileSync(process.execPath, args, { encoding: 'utf8' }))
  // The smallest object has 16 bytes: one for each packet would be 16 MB. What is left is a number for each batch.
  expect(grown).toBeLessThan(4_000_000)
})
