import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { isAttempt } from '../../src/path/classify.ts'
import { decode, PacketView } from '../../src/path/decode.ts'
import { Reason } from '../../src/path/reasons.ts'
import { TestPath } from '../lib/path.ts'
import { policy, service } from '../lib/policies.ts'
import { type ReadPacket, readCapture } from '../lib/read-capture.ts'
import { hasSharedCaptures, SHARED_CAPTURES } from '../lib/shared-captures.ts'

const isThere = hasSharedCaptures('the real captures are not counted through')

/** capinfos takes custom blocks for packets; these captures have nothing else. */
const CUSTOM_BLOCKS = ['rd-gopacket-be-test017.pcapng', 'rd-gopacket-le-test017.pcapng']

/** Version 1.4, which libpcap refuses too. */
const UNKNOWN_VERSION = 'rd-libpcap-pcap-invalid-version-1.pcap'

interface Row {
  readonly file: string
  readonly packets: number
  /** Whether capinfos read it without complaint. */
  readonly isIntact: boolean
  readonly counts: Counts
}

interface Counts {
  ssh: number
  smtp: number
  submission: number
  dns: number
  ptr: number
}

function readIndex(): Row[] {
  const [header = '', ...lines] = readFileSync(`${SHARED_CAPTURES}INDEX.tsv`, 'utf8').trim().split('\n')
  const names = header.split('\t')
  return lines.map((line) => {
    const cells = new Map(line.split('\t').map((cell, i) => [names[i], cell]))
    const count = (name: string) => Number(cells.get(name))
    const file = cells.get('file')!
    return {
      file,
      packets: CUSTOM_BLOCKS.includes(file) ? 0 : count('packets'),
      isIntact: cells.get('capinfos') === 'ok',
      counts: {
        ssh: count('own_syn22'),
        smtp: count('syn25'),
        submission: count('syn465') + count('syn587'),
        dns: count('own_dnsq'),
        ptr: count('own_ptr'),
      },
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

function countAttempts(packets: readonly ReadPacket[]): Counts {
  const counts = { ssh: 0, smtp: 0, submission: 0, dns: 0, ptr: 0 }
  const view = new PacketView()
  for (const { bytes } of packets) {
    if (decode(view, guard(bytes), 0, bytes.length) !== Reason.withinLimit) continue
    if (view.protocol === 17) {
      const message = bytes.subarray(view.payloadStart)
      const isQuery = message.length >= 12 && (message[2]! & 0x80) === 0
      if (view.destinationPort !== 53 || !isQuery) continue
      counts.dns++
      if (questionType(message) === 12) counts.ptr++
    } else if (isAttempt(view)) {
      if (view.destinationPort === 22) counts.ssh++
      if (view.destinationPort === 25) counts.smtp++
      if (view.destinationPort === 465 || view.destinationPort === 587) counts.submission++
    }
  }
  return counts
}

/** The type that the first question of a DNS message asks for; `undefined` when it has none (RFC 1035, 4.1.2). */
function questionType(message: Buffer): number | undefined {
  let at = 12
  while (at < message.length && message[at]! !== 0) at += message[at]! + 1
  return message.readUInt16BE(4) > 0 && at + 3 <= message.length ? message.readUInt16BE(at + 1) : undefined
}

const rows = isThere ? readIndex() : []
const readable = rows.filter(({ file }) => file !== UNKNOWN_VERSION)
const open = (file: string) => readCapture(SHARED_CAPTURES + file)

describe.runIf(isThere)('real captures', () => {
  test('give the counts of packets, SYNs and DNS queries that the index has', async () => {
    const differences: string[] = []
    for (const row of readable) {
      const { packets, reader } = await open(row.file)
      const read = { ...countAttempts(packets), ...(row.isIntact && { packets: reader.packets }) }
      const expected = { ...row.counts, ...(row.isIntact && { packets: row.packets }) }
      if (row.isIntact && reader.ending?.kind !== 'complete') differences.push(`${row.file}: incomplete`)
      if (JSON.stringify(read) !== JSON.stringify(expected)) {
        differences.push(`${row.file}: ${JSON.stringify(read)} instead of ${JSON.stringify(expected)}`)
      }
    }
    expect(differences).toEqual([])
  })

  test('are all read but one', async () => {
    expect(readable.length).toBe(rows.length - 1)
    await expect(open(UNKNOWN_VERSION)).rejects.toMatchObject({ status: EXIT.dataError })
  })

  test('that are damaged are read up to the damage', async () => {
    const endings: Record<string, unknown> = {}
    for (const row of readable.filter(({ file }) => file.startsWith('mal-pcpp-fuzz-'))) {
      const { ending } = (await open(row.file)).reader
      if (ending?.kind === 'broken') endings[row.file] = `byte ${ending.byte}, packet ${ending.packet}`
    }
    expect(endings).toEqual({
      'mal-pcpp-fuzz-0e4b1b8e.pcap': 'byte 224, packet 2',
      'mal-pcpp-fuzz-1073b30a.pcap': 'byte 299, packet 2',
      'mal-pcpp-fuzz-4a179281.pcap': 'byte 170, packet 2',
      'mal-pcpp-fuzz-613bd441.pcap': 'byte 295, packet 2',
      'mal-pcpp-fuzz-82749cd8.pcap': 'byte 1064, packet 2',
      'mal-pcpp-fuzz-bc3d7a2c.pcap': 'byte 84, packet 2',
      'mal-pcpp-fuzz-be04aba4.pcapng': 'byte 48, packet 1',
      'mal-pcpp-fuzz-cc81be91.pcap': 'byte 574, packet 3',
      'mal-pcpp-fuzz-ed478a66.pcap': 'byte 137, packet 2',
    })
  })

  test('each packet gets exactly one verdict, and none makes the path throw', async () => {
    const limits = {
      source: { burst: 2, ratePerSecond: 1 },
      network: { burst: 5, ratePerSecond: 2 },
      total: { burst: 90, ratePerSecond: 50 },
    }
    const dns = service('dns', 53, { ports: [{ protocol: 'udp', first: 53, last: 53 }], limits })
    const ssh = service('ssh', 22, { limits, ban: { strikes: 3, withinMs: 60_000 } })
    const path = new TestPath(policy([ssh, dns, service('smtp', 25, { limits })], { sources: 4096 }))
    let count = 0
    for (const row of readable) {
      for (const { timeMs, bytes } of (await open(row.file)).packets) {
        count++
        path.pipeline.judge(bytes, 0, bytes.length, timeMs)
      }
    }
    expect(path.pipeline.counters.decisions.reduce((sum, count) => sum + count)).toBe(count)
    expect(count).toBeGreaterThan(100_000)
  })
})
