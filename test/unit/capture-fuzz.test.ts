import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { Failure } from '../../src/failure.ts'
import { decode, PacketView } from '../../src/path/decode.ts'
import { ethernet, pcap, pcapng } from '../lib/capture-files.ts'
import { packet } from '../lib/packets.ts'
import { type ReadCapture, readBytes } from '../lib/read-capture.ts'
import { Scratch } from '../lib/scratch.ts'

const scratch = new Scratch()
afterAll(() => scratch.close())

const SYN = packet({ from: '198.51.100.7', port: 22 })
const QUERY = packet({ from: '2001:db8::7', port: 53, protocol: 'udp', payload: Buffer.alloc(20) })
const FRAMES = [ethernet(SYN), ethernet(QUERY, 0x86dd, [0x8100]), ethernet(SYN, 0x8864), ethernet(SYN, 40)]

const pcaps = [true, false].map((isLittle) =>
  pcap(
    FRAMES.map((bytes) => ({ bytes })),
    { isLittle },
  ),
)
const pcapngs = [true, false].map((isLittle) => {
  const ng = pcapng(isLittle)
  const options = [[9, Uint8Array.of(9)] as const, [14, ng.int64(7n)] as const]
  const cooked = Buffer.concat([Buffer.alloc(14), Buffer.of(8, 0), SYN])
  return Buffer.concat([
    ng.section(),
    ng.interface({ options }),
    ng.interface({ linkType: 113 }),
    ...FRAMES.map((frame, i) => ng.enhanced(frame, BigInt(i) << 40n)),
    ng.block(5, Buffer.alloc(12)),
    ng.obsolete(cooked, 1n, 1),
    ng.simple(FRAMES[0]!),
  ])
})

/** One of the captures above, with bytes changed, put in or taken out. */
const damaged = fc
  .tuple(
    fc.constantFrom(...pcaps, ...pcapngs),
    fc.array(
      fc.record({
        at: fc.double({ min: 0, max: 1, noNaN: true }),
        remove: fc.constantFrom(0, 1, 1, 1, 4, 16),
        insert: fc.oneof(
          fc.uint8Array({ minLength: 1, maxLength: 1 }),
          fc.uint8Array({ maxLength: 8 }),
          fc.constantFrom(Buffer.alloc(4, 255), Buffer.alloc(4), Buffer.of(0, 0, 0, 128)),
        ),
      }),
      { minLength: 1, maxLength: 6 },
    ),
  )
  .map(([capture, changes]) => {
    let bytes = Buffer.from(capture)
    for (const { at, remove, insert } of changes) {
      const start = Math.floor(at * bytes.length)
      bytes = Buffer.concat([bytes.subarray(0, start), insert, bytes.subarray(start + remove)])
    }
    return bytes
  })

test('a damaged capture is refused, or read to an end that is inside it', async () => {
  const view = new PacketView()
  await fc.assert(
    fc.asyncProperty(damaged, async (bytes) => {
      let read: ReadCapture
      try {
        read = await readBytes(scratch.path('capture'), bytes)
      } catch (error) {
        expect(error).toBeInstanceOf(Failure)
        return
      }
      const { packets, reader } = read
      for (const packet of packets) {
        expect(packet.timeMs).not.toBeNaN()
        expect(packet.bytes.length).toBeLessThanOrEqual(bytes.length)
        decode(view, packet.bytes, 0, packet.bytes.length)
      }
      const { arp, otherProtocol, tooShort, unknownLinks } = reader.skipped
      const unknown = [...unknownLinks.values()].reduce((sum, count) => sum + count, 0)
      expect(packets.length + arp + otherProtocol + tooShort + unknown).toBe(reader.packets)
      const { ending } = reader
      if (ending?.kind === 'broken') {
        expect(ending.byte).toBeLessThanOrEqual(bytes.length)
        expect(ending.packet).toBe(reader.packets + 1)
        expect(ending.reason).not.toBe('')
      } else {
        expect(ending).toEqual({ kind: 'complete' })
      }
    }),
    { numRuns: 2000 },
  )
})
