import { afterAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { ethernet, type PcapOptions, pcap, pcapHeader, pcapRecord } from '../lib/capture-files.ts'
import { packet } from '../lib/packets.ts'
import { readBytes } from '../lib/read-capture.ts'
import { Scratch } from '../lib/scratch.ts'

const scratch = new Scratch()
afterAll(() => scratch.close())
const read = (bytes: Uint8Array) => readBytes(scratch.path('capture'), bytes)

const SYN = Buffer.from(packet({ from: '198.51.100.7', port: 22 }))
const FRAME = ethernet(SYN)
const ARP = ethernet(Buffer.alloc(28), 0x0806)

describe.each([
  ['little-endian', true],
  ['big-endian', false],
])('a %s pcap', (_, isLittle) => {
  test.each<[string, PcapOptions, number]>([
    ['microseconds', {}, 500_123],
    ['nanoseconds', { magic: 0xa1b23c4d }, 500_123_000],
    ['the magic number of the patched libpcap', { magic: 0xa1b2cd34, extra: Buffer.alloc(8, 255) }, 500_123],
  ])('with %s', async (_, options, fraction) => {
    const records = [
      { fraction, bytes: FRAME },
      { fraction, bytes: ARP },
      { fraction, bytes: FRAME },
    ]
    const { packets, reader } = await read(pcap(records, { isLittle, ...options }))

    expect(packets.map(({ number }) => number)).toEqual([1, 3])
    for (const { bytes, timeMs, originalLength } of packets) {
      expect(bytes).toEqual(SYN)
      expect(timeMs).toBeCloseTo(1_700_000_000_500.123, 3)
      expect(originalLength).toBe(SYN.length)
    }
    expect(reader.packets).toBe(3)
    expect(reader.skipped.arp).toBe(1)
    expect(reader.ending).toEqual({ kind: 'complete' })
  })
})

test('a packet cut by the snap length keeps its length on the wire', async () => {
  const { packets } = await read(pcap([{ bytes: FRAME.subarray(0, 40), original: 1514 }]))
  expect(packets).toMatchObject([{ bytes: SYN.subarray(0, 26), originalLength: 1500 }])
})

test('a packet is at least as long on the wire as what was captured of it', async () => {
  const { packets } = await read(pcap([{ bytes: FRAME, original: 3 }]))
  expect(packets).toMatchObject([{ bytes: SYN, originalLength: SYN.length }])
})

test('before version 2.4 the captured length may come second', async () => {
  const record = { bytes: FRAME, captured: 1514, original: FRAME.length }
  const { packets } = await read(pcap([record, record], { version: [2, 3] }))
  expect(packets).toMatchObject([
    { bytes: SYN, originalLength: 1500 },
    { bytes: SYN, originalLength: 1500 },
  ])
})

test('the link type is found beside the length of checksums', async () => {
  const { packets } = await read(pcap([{ bytes: FRAME }], { linkType: 0x34000001 }))
  expect(packets).toHaveLength(1)
})

test('a capture without packets is complete', async () => {
  const { packets, reader } = await read(pcap([]))
  expect(packets).toEqual([])
  expect(reader.ending).toEqual({ kind: 'complete' })
})

test('the largest packet is read, one byte more is not', async () => {
  const largest = Buffer.concat([FRAME, Buffer.alloc(262_144 - FRAME.length)])
  const records = [{ bytes: largest }, { bytes: largest }, { bytes: Buffer.concat([largest, SYN]) }]
  const { packets, reader } = await read(pcap(records))
  expect(packets).toHaveLength(2)
  expect(reader.ending).toMatchObject({ kind: 'broken', packet: 3, byte: 24 + 2 * (16 + 262_144) })
})

test.each<[string, Buffer, string]>([
  [
    'a record that claims 2^32-1 bytes',
    pcapRecord({ bytes: FRAME, captured: 0xffff_ffff }),
    'a packet claims 4294967295 bytes, more than the largest allowed, 262144',
  ],
  ['a hole', Buffer.alloc(4096), 'zeros where a packet record should begin'],
  [
    'an end inside a record header',
    pcapRecord({ bytes: FRAME }).subarray(0, 9),
    'the file ends after 9 of the 16 bytes of a packet record header',
  ],
  [
    'an end inside a packet',
    pcapRecord({ bytes: FRAME }).subarray(0, 30),
    'the file ends after 30 of the 70 bytes of a packet record',
  ],
])('%s ends the capture there', async (_, damage, reason) => {
  const intact = pcap([{ bytes: FRAME }, { bytes: FRAME }])
  const { packets, reader } = await read(Buffer.concat([intact, damage]))
  expect(packets).toHaveLength(2)
  expect(reader.ending).toEqual({ kind: 'broken', byte: intact.length, packet: 3, reason })
})

test('cut anywhere, it gives every whole packet and says where the next began', async () => {
  const file = pcap([{ bytes: FRAME }, { bytes: ARP }, { bytes: FRAME }])
  const starts = [24, 94, 152, 222]
  expect(file.length).toBe(starts.at(-1))

  for (let length = 1; length <= file.length; length++) {
    const cut = file.subarray(0, length)
    if (length < 24) {
      await expect(read(cut), `${length} bytes`).rejects.toMatchObject({ status: EXIT.dataError })
      continue
    }
    const whole = starts.filter((start) => start <= length).length - 1
    const byte = starts[whole]!
    const { reader } = await read(cut)
    expect(reader.packets, `${length} bytes`).toBe(whole)
    expect(reader.ending).toMatchObject(
      byte === length ? { kind: 'complete' } : { kind: 'broken', byte, packet: whole + 1 },
    )
  }
})

test('another major version is refused', async () => {
  await expect(read(pcapHeader({ version: [3, 0] }))).rejects.toMatchObject({
    status: EXIT.dataError,
    message: expect.stringContaining('pcap version 3.0 is unknown'),
  })
})

test('what is odd about the clock is noted, and every time is passed on', async () => {
  const seconds = [0, 7, 5, 6, 1_700_000_000, 1_699_999_990]
  const { packets, reader } = await read(pcap(seconds.map((seconds) => ({ seconds, bytes: FRAME }))))
  expect(packets.map(({ timeMs }) => timeMs / 1000)).toEqual(seconds)
  expect(reader.clock).toMatchObject({
    startsAtZero: true,
    backwards: { count: 2, firstPacket: 3, mostMs: 10_000 },
    jumps: { count: 1, firstPacket: 5, mostMs: 1_699_999_994_000 },
    untimed: 0,
  })
})
