import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import * as zlib from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { StreamSource } from '../../src/replay/capture/byte-source.ts'
import { brokenCapture } from '../../src/replay/capture/ending.ts'
import { Frame } from '../../src/replay/capture/frame-format.ts'
import { PcapFormat } from '../../src/replay/capture/pcap.ts'
import { Window } from '../../src/replay/capture/window.ts'
import { ethernet, pcap, pcapHeader, pcapng, pcapRecord } from '../lib/capture-files.ts'
import type { CaptureCount } from '../lib/count-capture.ts'
import { packet } from '../lib/packets.ts'
import { readBytes, readCapture } from '../lib/read-capture.ts'
import { Scratch } from '../lib/scratch.ts'

const scratch = new Scratch()
afterAll(() => scratch.close())
const path = scratch.path('capture')
const read = (bytes: Uint8Array) => readBytes(path, bytes)

const FRAME = ethernet(packet({ from: '198.51.100.7', port: 22 }))
const CAPTURE = pcap(Array.from({ length: 5000 }, (_, seconds) => ({ seconds, bytes: FRAME })))
const COUNT = ['--import', 'tsx', 'test/lib/count-capture.ts']

function countInProcess(file: string): CaptureCount {
  return JSON.parse(execFileSync(process.execPath, [...COUNT, file], { encoding: 'utf8' }))
}

describe('what is no capture is refused with one message', () => {
  test.each<[string, () => void, number, string]>([
    ['nothing there', () => {}, EXIT.noInput, 'cannot open: ENOENT'],
    ['a directory', () => mkdirSync(scratch.path('refused')), EXIT.noInput, 'is a directory, not a capture'],
    ['an empty file', () => write(Buffer.alloc(0)), EXIT.dataError, 'is empty'],
    ['one byte', () => write(Buffer.of(0xd4)), EXIT.dataError, 'begins with the bytes d4'],
    ['a text', () => write(Buffer.from('file\tcount\n')), EXIT.dataError, 'begins with the bytes 66696c65'],
    ['4 GiB of nothing', () => truncateSync(write(Buffer.alloc(0)), 2 ** 32), EXIT.dataError, '00000000'],
    ['xz', () => write(Buffer.from('fd377a585a00', 'hex')), EXIT.unavailable, 'is compressed with xz'],
    ['gzip of a text', () => write(zlib.gzipSync('hello')), EXIT.dataError, 'begins with the bytes 68656c6c'],
    ['gzip of nothing', () => write(zlib.gzipSync('')), EXIT.dataError, 'unpacks to nothing'],
    [
      'gzip that is none',
      () => write(Buffer.from('1f8b08ffffff', 'hex')),
      EXIT.dataError,
      'unknown header flags set',
    ],
  ])('%s', async (_, make, status, message) => {
    make()
    await expect(readCapture(scratch.path('refused'))).rejects.toMatchObject({
      name: 'Failure',
      status,
      message: expect.stringMatching(new RegExp(`^${scratch.path('refused')}: .*${message}`)),
    })
    execFileSync('rm', ['-r', '-f', scratch.path('refused')])
  })

  function write(bytes: Uint8Array): string {
    writeFileSync(scratch.path('refused'), bytes)
    return scratch.path('refused')
  }
})

test.each<[string, Uint8Array, number]>([
  ['pcap', CAPTURE, CAPTURE.length],
  ['pcapng', Buffer.concat([pcapng(true).section(), pcapng(true).interface()]), 48],
])('a %s whose remaining 4 GiB were never written ends where they begin', async (_, bytes, byte) => {
  writeFileSync(path, bytes)
  truncateSync(path, 2 ** 32)
  const { reader } = await readCapture(path)
  expect(reader.ending).toMatchObject({ kind: 'broken', byte })
})

test('the end of a broken capture becomes one message with its own exit status', () => {
  const ending = { kind: 'broken', byte: 84, packet: 2, reason: 'the file ends' } as const
  expect(brokenCapture('night.pcap', ending)).toMatchObject({
    status: EXIT.dataError,
    message: 'night.pcap: broken at byte 84, packet 2: the file ends; packets read before: 1',
  })
})

describe('gzip', () => {
  test('is unpacked, and progress counts the packed bytes', async () => {
    const packed = zlib.gzipSync(CAPTURE)
    const { packets, reader } = await read(packed)
    expect(packets).toHaveLength(5000)
    expect(reader.ending).toEqual({ kind: 'complete' })
    expect(reader.bytesRead).toBe(packed.length)
    expect(reader.bytesTotal).toBe(packed.length)
  })

  test('of several members is one capture', async () => {
    const { packets } = await read(
      Buffer.concat([zlib.gzipSync(CAPTURE.subarray(0, 7777)), zlib.gzipSync(CAPTURE.subarray(7777))]),
    )
    expect(packets).toHaveLength(5000)
  })

  test('cut in the middle gives what precedes the cut', async () => {
    const packed = zlib.gzipSync(CAPTURE)
    const { packets, reader } = await read(packed.subarray(0, packed.length - 4000))
    expect(packets.length).toBeGreaterThan(1000)
    expect(reader.ending).toEqual({
      kind: 'broken',
      byte: 24 + packets.length * (16 + FRAME.length),
      packet: packets.length + 1,
      reason: 'cannot read on: unexpected end of file',
    })
  })
})

test('zstd is unpacked where Node can, and refused with what to do where it cannot', async () => {
  const { zstdCompressSync } = zlib as { zstdCompressSync?: (bytes: Uint8Array) => Uint8Array }
  if (zstdCompressSync !== undefined) {
    expect((await read(zstdCompressSync(CAPTURE))).packets).toHaveLength(5000)
    await expect(read(zstdCompressSync(CAPTURE).subarray(0, 50))).rejects.toThrow('unpacks to nothing')
    return
  }
  await expect(read(Buffer.from('28b52ffd04', 'hex'))).rejects.toMatchObject({
    status: EXIT.unavailable,
    message: expect.stringContaining('is compressed with zstd, which Node'),
    remedy: 'zstd -dc FILE | sluice replay -',
  })
})

test('a stream that comes byte by byte is read like a file', async () => {
  const file = pcap([{ bytes: FRAME }, { bytes: FRAME }])
  const bytes = Array.from(file, (byte) => Buffer.of(byte))
  const window = new Window(new StreamSource(Readable.from(bytes, { objectMode: false })))
  while (window.available < 24) await window.fill()
  const format = PcapFormat.begin(window) as PcapFormat
  const frame = new Frame()
  let frames = 0
  do {
    while (format.next(frame) === 'frame') frames++
  } while (await window.fill())
  expect(frames).toBe(2)
  expect(window.position).toBe(file.length)
})

describe('standard input', () => {
  test.each<[string, Buffer]>([
    ['plain', CAPTURE],
    ['compressed', zlib.gzipSync(CAPTURE)],
  ])('is read, %s', async (_, bytes) => {
    const child = spawn(process.execPath, [...COUNT, '-'], { stdio: ['pipe', 'pipe', 'inherit'] })
    child.stdin.end(bytes)
    const count: CaptureCount = JSON.parse(await text(child.stdout))
    expect(count).toMatchObject({ ip: 5000, packets: 5000, ending: { kind: 'complete' } })
  })

  test('may be a file', async () => {
    writeFileSync(path, CAPTURE)
    const stdio = [openSync(path, 'r'), 'pipe', 'inherit'] as const
    const count = execFileSync(process.execPath, [...COUNT, '-'], { stdio: [...stdio], encoding: 'utf8' })
    expect(JSON.parse(count)).toMatchObject({ ip: 5000 })
  })
})

describe('a capture of 256 MiB', () => {
  const record = pcapRecord({ bytes: Buffer.concat([FRAME, Buffer.alloc(458)]) })
  const part = Buffer.alloc(record.length << 13, record)
  const parts = 64
  const large = scratch.path('large')

  beforeAll(() => {
    const file = openSync(large, 'w')
    writeSync(file, pcapHeader({}))
    for (let i = 0; i < parts; i++) writeSync(file, part)
    closeSync(file)
  })

  test('takes the memory of a small one, compressed or not', async () => {
    writeFileSync(path, CAPTURE)
    const small = countInProcess(path)
    const plain = countInProcess(large)
    expect(plain).toMatchObject({ packets: parts << 13, ending: { kind: 'complete' } })
    expect(plain.largestMiB - small.largestMiB).toBeLessThan(48)

    const packed = createReadStream(large).pipe(zlib.createGzip({ level: 1 }))
    const gz = scratch.path('large.gz')
    await writeFile(gz, packed)
    const unpacked = countInProcess(gz)
    expect(unpacked).toMatchObject({ packets: parts << 13, ending: { kind: 'complete' } })
    expect(unpacked.largestMiB - small.largestMiB).toBeLessThan(48)
  })

  test('is read without an allocation for each packet', () => {
    const program = `
      import { CaptureReader } from './src/replay/capture/reader.ts'
      const run = async () => {
        const reader = await CaptureReader.open(${JSON.stringify(large)})
        while (await reader.refill()) while (reader.next());
        await reader.close()
      }
      // Until the compiler has settled, which takes longer on a busy machine, its own work is on the heap too.
      let least = Infinity
      for (let i = 0; i < 8; i++) {
        gc()
        const before = process.memoryUsage().heapUsed
        await run()
        least = Math.min(least, process.memoryUsage().heapUsed - before)
      }
      console.log(least)
    `
    // So much room for young objects that none is collected in between.
    const room = ['--min-semi-space-size=64', '--max-semi-space-size=64']
    const args = ['--expose-gc', ...room, '--import', 'tsx', '--input-type=module', '-e', program]
    const grown = Number(execFileSync(process.execPath, args, { encoding: 'utf8' }))
    // The smallest object has 16 bytes: one for each packet would be 8 MB.
    expect(grown).toBeLessThan(2_000_000)
  })
})
