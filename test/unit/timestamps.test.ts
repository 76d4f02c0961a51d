import { describe, expect, test } from 'vitest'
import { parsePrefix, SOURCE_BITS, widen } from '../../src/net/prefix.ts'
import { decode, PacketView } from '../../src/path/decode.ts'
import { hasTimestamps, Timestamps } from '../../src/path/timestamps.ts'
import { type PacketFields, packet } from '../lib/packets.ts'
import { TestPath } from '../lib/path.ts'
import { policy, service } from '../lib/policies.ts'

const LINUX = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]
const WINDOWS = [2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2]
const CLIENT = '198.51.100.7'
const SSH = service('ssh', 22, {
  outcome: { kind: 'smtp', succeededBytes: 1, failedPackets: 1, failedBytesPerPacket: 1 },
})

describe('TCP timestamps', () => {
  test.each<[string, 0 | 1 | -1, readonly number[]]>([
    ['as Linux has them', 1, LINUX],
    ['as Windows has none', 0, WINDOWS],
    ['without options', 0, []],
    ['behind the end of the options', 0, [0, 1, ...LINUX.slice(6, 16)]],
    ['of a wrong length', 0, [8, 8, 0, 0, 0, 1, 0, 0]],
    ['cut off by the end of the header', 0, [1, 1, 8, 10]],
    ['behind an option without length', 0, [5, 0, ...LINUX.slice(6, 16)]],
    ['behind an option that is too long', 0, [5, 99, ...LINUX.slice(6, 16)]],
  ])('%s: %i', (_, expected, options) => {
    const bytes = packet({ from: CLIENT, port: 22, options })
    expect(hasTimestamps(bytes, 20, bytes.length)).toBe(expected)
  })

  test('of a packet that was cut off cannot be told', () => {
    const bytes = packet({ from: CLIENT, port: 22, options: LINUX })
    for (let end = 40; end < bytes.length; end++) expect(hasTimestamps(bytes, 20, end), `${end}`).toBe(-1)
  })
})

describe('the path', () => {
  const of = (path: TestPath, from: string, port: number) => {
    const address = parsePrefix(from)
    const seed = path.shared.seed[2]!
    return new Timestamps(path.shared.timestamps, seed).of(widen(address, SOURCE_BITS[address.family]), port)
  }

  test.each(['198.51.100.7', '2001:db8:7:7::1'])('notes which SYNs of %s have them', (from) => {
    const path = new TestPath(policy([SSH]))
    expect(of(path, from, 40_000)).toBeUndefined()
    path.send({ from, port: 22, sourcePort: 40_000, options: LINUX }, 0)
    path.send({ from, port: 22, sourcePort: 40_001, options: WINDOWS }, 0)
    expect([40_000, 40_001, 40_002].map((port) => of(path, from, port))).toEqual([true, false, undefined])
    path.send({ from, port: 22, sourcePort: 40_000, options: WINDOWS }, 0)
    expect(of(path, from, 40_000)).toBe(false)
  })

  test('notes no SYN that it drops, so that a flood pushes nobody out', () => {
    const source = { burst: 1, ratePerSecond: 1 }
    const limits = { source, network: undefined, total: undefined }
    const path = new TestPath(policy([{ ...SSH, limits }]))
    const send = (sourcePort: number) => path.send({ from: CLIENT, port: 22, sourcePort, options: LINUX }, 0)
    expect([send(1), send(2)]).toEqual(['accept within-limit', 'drop source-limit'])
    expect([of(path, CLIENT, 1), of(path, CLIENT, 2)]).toEqual([true, undefined])
  })

  test('notes none where no session is judged', () => {
    const path = new TestPath(policy([service('ssh', 22)]))
    path.send({ from: CLIENT, port: 22, options: LINUX }, 0)
    expect(of(path, CLIENT, 40_000)).toBeUndefined()
  })

  test('forgets one that another has taken the place of, and takes neither for the other', () => {
    const memory = new SharedArrayBuffer(Timestamps.BYTES)
    const timestamps = new Timestamps(memory, 1)
    const note = (fields: Omit<PacketFields, 'port'>) => {
      const bytes = packet({ ...fields, port: 22 })
      const view = new PacketView()
      decode(view, bytes, 0, bytes.length)
      timestamps.note(view, bytes)
    }
    const ports = Array.from({ length: 60_000 }, (_, i) => 1024 + i)
    for (const sourcePort of ports) note({ from: CLIENT, sourcePort, options: WINDOWS })
    const known = ports.map((port) => timestamps.of(parsePrefix(CLIENT), port))
    expect(known.filter((each) => each === true).length).toBe(0)
    expect(known.filter((each) => each === undefined).length).toBeGreaterThan(40_000)
    const strangers = ports.map((port) => timestamps.of(parsePrefix('203.0.113.9'), port))
    expect(strangers.filter((each) => each !== undefined).length).toBeLessThan(20)
  })
})
