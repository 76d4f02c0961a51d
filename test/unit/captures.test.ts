import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { isAttempt } from '../../src/path/classify.ts'
import { decode, PacketView } from '../../src/path/decode.ts'
import { Reason } from '../../src/path/reasons.ts'
import { readCapture } from '../lib/capture.ts'
import { TestPath } from '../lib/path.ts'
import { policy, service } from '../lib/policies.ts'

const DIRECTORY = new URL('../../../shared/pcaps/', import.meta.url)
const isThere = existsSync(new URL('INDEX.tsv', DIRECTORY))
if (!isThere) console.warn(`captures: no ${DIRECTORY.pathname}, so the real captures are not replayed`)

interface Row {
  readonly file: string
  readonly ssh: number
  readonly smtp: number
  readonly submission: number
  readonly dns: number
}

function readIndex(): Row[] {
  const [header = '', ...lines] = readFileSync(new URL('INDEX.tsv', DIRECTORY), 'utf8').trim().split('\n')
  const names = header.split('\t')
  return lines.map((line) => {
    const cells = new Map(line.split('\t').map((cell, i) => [names[i], cell]))
    const count = (name: string) => Number(cells.get(name))
    return {
      file: cells.get('file')!,
      ssh: count('own_syn22'),
      smtp: count('syn25'),
      submission: count('syn465') + count('syn587'),
      dns: count('own_dnsq'),
    }
  })
}

/** Reads as `bytes` do, and reports each look outside them. */
function guard(bytes: Uint8Array): Uint8Array {
  return new Proxy(bytes, {
    get(target, key) {
      const index = Number(key)
      if (Number.isInteger(index) && (index < 0 || index >= target.length))
        throw new RangeError(`read of byte ${index}`)
      return Reflect.get(target, key, target)
    },
  })
}

function countAttempts(file: Buffer) {
  const counts = { packets: 0, ssh: 0, smtp: 0, submission: 0, dns: 0 }
  const view = new PacketView()
  for (const { bytes } of readCapture(file)) {
    counts.packets++
    if (decode(view, guard(bytes), 0, bytes.length) !== Reason.withinLimit) continue
    if (view.protocol === 17) {
      const isQuery = bytes.length - view.payloadStart >= 12 && (bytes[view.payloadStart + 2]! & 0x80) === 0
      if (view.destinationPort === 53 && isQuery) counts.dns++
    } else if (isAttempt(view)) {
      if (view.destinationPort === 22) counts.ssh++
      if (view.destinationPort === 25) counts.smtp++
      if (view.destinationPort === 465 || view.destinationPort === 587) counts.submission++
    }
  }
  return counts
}

describe.runIf(isThere)('real captures', () => {
  test('give the counts of SYNs and DNS queries that the index has', () => {
    const differences: string[] = []
    let read = 0
    for (const { file, ...expected } of readIndex()) {
      const { packets, ...counts } = countAttempts(readFileSync(new URL(file, DIRECTORY)))
      if (packets === 0) continue
      read++
      if (JSON.stringify(counts) !== JSON.stringify(expected)) {
        differences.push(`${file}: ${JSON.stringify(counts)} instead of ${JSON.stringify(expected)}`)
      }
    }
    expect(differences).toEqual([])
    expect(read).toBeGreaterThan(400)
  })

  test('each packet gets exactly one verdict, and none makes the path throw', () => {
    const limits = {
      source: { burst: 2, ratePerSecond: 1 },
      network: { burst: 5, ratePerSecond: 2 },
      total: { burst: 90, ratePerSecond: 50 },
    }
    const dns = service('dns', 53, { ports: [{ protocol: 'udp', first: 53, last: 53 }], limits })
    const ssh = service('ssh', 22, { limits, ban: { strikes: 3, withinMs: 60_000 } })
    const path = new TestPath(policy([ssh, dns, service('smtp', 25, { limits })], { sources: 4096 }))
    let packets = 0
    for (const { file } of readIndex()) {
      for (const { timeMs, bytes } of readCapture(readFileSync(new URL(file, DIRECTORY)))) {
        packets++
        path.pipeline.judge(bytes, 0, bytes.length, timeMs)
      }
    }
    expect(path.pipeline.counters.decisions.reduce((sum, count) => sum + count)).toBe(packets)
  })
})
