import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'

/** Run in a process of its own, with the garbage collector at hand. */
const PROGRAM = `
  import { TestPath } from './test/lib/path.ts'
  import { policy, service } from './test/lib/policies.ts'
  import { packet } from './test/lib/packets.ts'
  import { parsePrefix } from './src/net/prefix.ts'

  const limit = { burst: 3, ratePerSecond: 1 }
  const limits = { source: limit, network: { burst: 50, ratePerSecond: 9 }, total: { burst: 9e5, ratePerSecond: 9e5 }, known: limit }
  const path = new TestPath(policy([service('ssh', 22, { limits, ban: { strikes: 9, withinMs: 1000 } })], { sources: 4096 }))
  for (const prefix of ['10.0.3.2', '2001:db8:3::/64', '10.0.4.0/24'])
    path.known.set(parsePrefix(prefix), 0, 1, 1e9, 0)
  const packets = Array.from({ length: 2000 }, (_, i) =>
    packet({ from: i % 2 ? '2001:db8:' + i.toString(16) + '::1' : '10.0.' + (i >> 8) + '.' + (i & 255), port: 22, sequence: i }))
  const run = (count) => {
    for (let i = 0; i < count; i += 64) {
      const nowMs = i / 100
      path.pipeline.holds.beginBatch(64, true, path.pipeline.policy, nowMs)
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
`

test('judging a million packets leaves the heap as it was, without any collection', () => {
  const args = ['--expose-gc', '--import', 'tsx', '--input-type=module', '-e', PROGRAM]
  const grown = Number(execFileSync(process.execPath, args, { encoding: 'utf8' }))
  // The smallest object has 16 bytes: one for each packet would be 16 MB. What is left is a number for each batch.
  expect(grown).toBeLessThan(4_000_000)
})
