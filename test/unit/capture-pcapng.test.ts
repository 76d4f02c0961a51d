import { afterAll, describe, expect, test } from 'vitest'
import { ethernet, pcapng } from '../lib/capture-files.ts'
import { packet } from '../lib/packets.ts'
import { readBytes } from '../lib/read-capture.ts'
import { Scratch } from '../lib/scratch.ts'

const scratch = new Scratch()
afterAll(() => scratch.close())
const read = (...blocks: Uint8Array[]) => readBytes(scratch.path('capture'), Buffer.concat(blocks))

const SYN = Buffer.from(packet({ from: '198.51.100.7', port: 22 }))
const SYN6 = Buffer.from(packet({ from: '2001:db8::7', port: 22 }))
const FRAME = ethernet(SYN)
const TIME_RESOLUTION = 9
const TIME_OFFSET = 14
const RAW = 101

describe.each([
  ['little-endian', true],
  ['big-endian', false],
])('a %s pcapng', (_, isLittle) => {
  const ng = pcapng(isLittle)

  test('has microseconds unless it says otherwise', async () => {
    const { packets, reader } = await read(
      ng.section(),
      ng.interface(),
      ng.enhanced(FRAME, 1_700_000_000_500_123n),
    )
    expect(packets).toMatchObject([{ number: 1, bytes: SYN, originalLength: SYN.length }])
    expect(packets[0]!.timeMs).toBeCloseTo(1_700_000_000_500.123, 3)
    expect(reader.ending).toEqual({ kind: 'complete' })
  })

  test.each<[string, number, bigint, number]>([
    ['nanoseconds', 9, 1_700_000_000_500_123_456n, 1_700_000_000_500.1235],
    ['seconds', 0, 1_700_000_000n, 1_700_000_000_000],
    ['1/1024 of a second', 0x8a, 1_700_000_000n * 1024n + 512n, 1_700_000_000_500],
  ])('has %s where the interface says so', async (_, resolution, ticks, timeMs) => {
    const options = [[TIME_RESOLUTION, Uint8Array.of(resolution)]] as const
    const { packets } = await read(ng.section(), ng.interface({ options }), ng.enhanced(FRAME, ticks))
    expect(packets[0]!.timeMs).toBeCloseTo(timeMs, 3)
  })

  test('adds the time offset of the interface, which may be negative', async () => {
    const options = [[TIME_OFFSET, ng.int64(-3n)]] as const
    const { packets } = await read(ng.section(), ng.interface({ options }), ng.enhanced(FRAME, 5_000_000n))
    expect(packets).toMatchObject([{ timeMs: 2000 }])
  })

  test('a time that no calendar has is taken for the last date, or the first', async () => {
    const seconds = [TIME_RESOLUTION, Uint8Array.of(0)] as const
    const { packets, reader } = await read(
      ng.section(),
      ng.interface({ options: [seconds] }),
      ng.interface({ options: [seconds, [TIME_OFFSET, ng.int64(-(2n ** 63n))]] }),
      ng.enhanced(FRAME, 2n ** 64n - 1n),
      ng.enhanced(FRAME, 2n ** 64n - 9n),
      ng.enhanced(FRAME, 0n, 1),
    )
    expect(packets.map(({ timeMs }) => timeMs)).toEqual([8.64e15, 8.64e15, -8.64e15])
    expect(reader.clock.impossible).toBe(3)
  })

  test('each packet has the link type and the clock of its interface', async () => {
    const options = [[TIME_RESOLUTION, Uint8Array.of(3)]] as const
    const { packets } = await read(
      ng.section(),
      ng.interface(),
      ng.interface({ linkType: RAW, options }),
      ng.enhanced(SYN6, 7000n, 1),
      ng.enhanced(FRAME, 7_000_000n, 0),
      ng.obsolete(SYN6, 7000n, 1),
    )
    expect(packets).toMatchObject([
      { bytes: SYN6, timeMs: 7000 },
      { bytes: SYN, timeMs: 7000 },
      { bytes: SYN6, timeMs: 7000 },
    ])
  })

  test('a simple packet belongs to the first interface and has the time before it', async () => {
    const { packets, reader } = await read(
      ng.section(),
      ng.interface({ snapLength: 30 }),
      ng.enhanced(FRAME, 9_000_000n),
      ng.simple(FRAME.subarray(0, 30), 70),
    )
    expect(packets[1]).toMatchObject({ bytes: SYN.subarray(0, 16), originalLength: 56, timeMs: 9000 })
    expect(reader.clock.untimed).toBe(1)
  })

  test('a new section may have another byte order, and forgets the interfaces', async () => {
    const other = pcapng(!isLittle)
    const { packets, reader } = await read(
      ng.section(),
      ng.interface({ linkType: RAW }),
      ng.enhanced(SYN, 1n),
      other.section(1, 2),
      other.interface(),
      other.enhanced(FRAME, 2n),
      ng.section(),
      ng.enhanced(SYN, 3n),
    )
    expect(packets).toMatchObject([{ bytes: SYN }, { bytes: SYN }])
    expect(reader.ending).toMatchObject({
      kind: 'broken',
      packet: 3,
      reason: 'a packet of interface 0, which is not described before',
    })
  })

  test('blocks of other types are passed over, also those larger than what is kept in memory', async () => {
    const names = 4
    const { packets, reader } = await read(
      ng.section(),
      ng.block(names, Buffer.alloc(3_000_000)),
      ng.interface(),
      ng.block(0x8000_0bad, Buffer.alloc(8)),
      ng.enhanced(FRAME, 1n),
      ng.block(names),
    )
    expect(packets).toHaveLength(1)
    expect(reader.ending).toEqual({ kind: 'complete' })
  })

  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4)
    if (isLittle) bytes.writeUInt32LE(value)
    else bytes.writeUInt32BE(value)
    return bytes
  }
  const enhanced = ng.enhanced(FRAME)
  const wrongTrailer = Buffer.concat([enhanced.subarray(0, -4), u32(enhanced.length + 4)])
  const claiming = (type: number, length: number) => Buffer.concat([u32(type), u32(length), Buffer.alloc(64)])

  test.each<[string, Uint8Array, string]>([
    ['a packet block of 2^32-4 bytes', claiming(6, 0xffff_fffc), 'claims 4294967292 bytes, more than any'],
    ['another block of 2^32-4 bytes', claiming(4, 0xffff_fffc), 'claims 4294967292 bytes, more than any'],
    ['a block of 0 bytes', claiming(6, 0), 'the impossible length of 0 bytes'],
    ['a length that is no multiple of 4', claiming(6, 77), 'the impossible length of 77 bytes'],
    ['a block too short for its type', ng.block(6, Buffer.alloc(16)), 'the impossible length of 28 bytes'],
    ['lengths that differ', wrongTrailer, 'a block of 88 bytes ends with another length'],
    ['a packet longer than its block', ng.enhanced(FRAME, 0n, 0, 100), 'a packet of 100 bytes in a block'],
    ['a packet of 2^32-1 bytes', ng.enhanced(FRAME, 0n, 0, 0xffff_ffff), 'a packet claims 4294967295 bytes'],
    ['an unknown interface', ng.enhanced(FRAME, 0n, 7), 'a packet of interface 7, which is not described'],
    ['an unknown version', ng.section(2, 0), 'pcapng version 2.0 is unknown'],
    ['no byte-order mark', ng.block(0x0a0d0d0a, Buffer.alloc(16)), 'a section header has no byte-order mark'],
    [
      'an option past the end',
      ng.block(1, Buffer.alloc(8), Buffer.alloc(4, 255)),
      'an option runs past the end of its interface description',
    ],
  ])('%s ends the capture there', async (_, damage, reason) => {
    const intact = Buffer.concat([ng.section(), ng.interface(), ng.enhanced(FRAME)])
    const { packets, reader } = await read(intact, damage)
    expect(packets).toHaveLength(1)
    expect(reader.ending).toMatchObject({ kind: 'broken', byte: intact.length, packet: 2 })
    expect(reader.ending).toHaveProperty('reason', expect.stringContaining(reason))
  })

  test('cut anywhere, it gives every whole packet and says that it is broken', async () => {
    const blocks = [
      ng.section(),
      ng.interface(),
      ng.enhanced(FRAME),
      ng.block(4, Buffer.alloc(20)),
      ng.simple(FRAME),
      ng.obsolete(FRAME),
    ]
    const file = Buffer.concat(blocks)
    const ends = blocks.map((_, i) => Buffer.concat(blocks.slice(0, i + 1)).length)
    const packetEnds = [ends[2]!, ends[4]!, ends[5]!]
    for (let length = 4; length <= file.length; length++) {
      const { packets, reader } = await read(file.subarray(0, length))
      expect(packets, `${length} bytes`).toHaveLength(packetEnds.filter((end) => end <= length).length)
      expect(reader.ending?.kind, `${length} bytes`).toBe(ends.includes(length) ? 'complete' : 'broken')
    }
  })
})

test('interfaces without end are refused, not remembered', async () => {
  const ng = pcapng(true)
  const { reader } = await read(ng.section(), Buffer.alloc(20 * 70_000, ng.interface()))
  expect(reader.ending).toMatchObject({ kind: 'broken', byte: 28 + 20 * 65_536 })
})
