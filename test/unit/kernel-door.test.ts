import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { errnoName, NetlinkError } from '../../src/kernel/netlink-error.ts'
import { PacketQueue, type QueueOptions } from '../../src/kernel/queue.ts'
import { parseQueueCounters } from '../../src/kernel/queue-counters.ts'
import { packRecords, unpackRecords } from '../../src/kernel/records.ts'
import { parsePrefix } from '../../src/net/prefix.ts'

const OPTIONS: QueueOptions = {
  first: 7,
  count: 1,
  length: 1024,
  copyBytes: 256,
  replyMark: undefined,
  failOpen: true,
  socketBufferBytes: 1 << 20,
}

describe('loading the addon', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-'))
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    rmSync(directory, { recursive: true, force: true })
  })

  test.each([
    { what: 'is not built', content: undefined, why: /: it is not built$/ },
    {
      what: 'is not for this machine',
      content: 'not a library',
      why: /: .*(file too short|invalid ELF header)/,
    },
  ])('an addon that $what is named, with the way to get it', ({ content, why }) => {
    const file = join(directory, 'nfqueue.node')
    if (content !== undefined) writeFileSync(file, content)
    vi.stubEnv('SLUICE_ADDON', file)
    const open = () => new PacketQueue(OPTIONS, () => {})
    expect(open).toThrow(
      expect.objectContaining({ status: EXIT.unavailable, message: expect.stringMatching(why) }),
    )
    expect(open).toThrow(`cannot load the addon ${file} into Node ${process.versions.node}: `)
    expect(open).toThrow(expect.objectContaining({ remedy: expect.stringContaining('npm run build') }))
  })
})

test.each([
  { wrong: { first: -1 }, message: 'first must be a whole number from 0 to 65535: it is -1' },
  { wrong: { first: 65_530, count: 7 }, message: 'count must be a whole number from 1 to 6: it is 7' },
  { wrong: { count: 65 }, message: 'count must be a whole number from 1 to 64: it is 65' },
  { wrong: { length: 65_536 }, message: 'length must be a whole number from 1 to 65535: it is 65536' },
  { wrong: { copyBytes: 0 }, message: 'copyBytes must be a whole number from 1 to 65531: it is 0' },
  { wrong: { copyBytes: 1.5 }, message: 'copyBytes must be a whole number from 1 to 65531: it is 1.5' },
  { wrong: { socketBufferBytes: Number.NaN }, message: /^socketBufferBytes must be .* it is NaN$/ },
])('queue options $wrong are refused before any system call', ({ wrong, message }) => {
  expect(() => new PacketQueue({ ...OPTIONS, ...wrong }, () => {})).toThrow(message)
})

test("the kernel's table of queues is read by column", () => {
  const text = '    7  12345     3 2   256     4     5      678  1\n 9713 4294967295 0 2 65531 0 0 0 1\n'
  expect(parseQueueCounters(text)).toEqual([
    { queue: 7, waiting: 3, kernelDropped: 4, userDropped: 5, lastId: 678 },
    { queue: 9713, waiting: 0, kernelDropped: 0, userDropped: 0, lastId: 0 },
  ])
  expect(parseQueueCounters('')).toEqual([])
})

test('records keep prefixes and timeouts', () => {
  const entries = ['192.0.2.0/24', '0.0.0.0/0', '2001:db8::/33', '::1'].map((text, i) => ({
    prefix: parsePrefix(text),
    timeoutSeconds: i * 715_827,
  }))
  expect(unpackRecords(packRecords(entries))).toEqual(entries)
})

test('an error says what cannot be done, the code, and what it means where the code does not', () => {
  expect(new NetlinkError('flush set x', 'set does not exist').message).toBe(
    'cannot flush set x: set does not exist',
  )
  expect(new NetlinkError('flush set x', 'EPERM').message).toBe(
    'cannot flush set x: EPERM (CAP_NET_ADMIN is missing)',
  )
  expect(errnoName(1)).toBe('EPERM')
  expect(errnoName(4242)).toBe('errno 4242')
})
