import { describe, expect, test } from 'vitest'
import { readListeners } from '../../src/control/dns/proc-listeners.ts'
import { TcpListeners } from '../../src/control/dns/tcp-listeners.ts'
import type { Listener } from '../../src/kernel/listeners.ts'
import { NetlinkError } from '../../src/kernel/netlink-error.ts'
import { TestLog } from '../lib/test-log.ts'

const { log } = new TestLog()

/** How the rest of the daemon sees the listeners of `table`, a text of /proc/net/tcp or tcp6. */
function seen(table: string) {
  return new TcpListeners({ log, now: () => 0, ask: () => readListeners(table) }).all()
}

test('listeners are read, with where they can be reached', () => {
  const rest = '00000000:00000000 00:00000000 00000000     0        0'
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0035 00000000:0000 0A ${rest} 11 1 0000000000000000 100 0 0 10 0
   1: 3500007F:0036 00000000:0000 0A ${rest} 12 1 0000000000000000 100 0 0 10 0
   2: 0A0002C0:0016 070064C6:9C40 01 ${rest} 13 1 0000000000000000 100 0 0 10 0
   3: 0A0200C0:0016 00000000:0000 0A ${rest} 14 1 0000000000000000 100 0 0 10 0
   4: 00000000000000000000000001000000:0037 00000000000000000000000000000000:0000 0A ${rest} 15 1
   5: 00000000000000000000000000000000:0038 00000000000000000000000000000000:0000 0A ${rest} 16 1
   6: B80D0120000000000000000010000000:0039 00000000000000000000000000000000:0000 0A ${rest} 17 1
`
  expect(seen(table)).toEqual([
    { address: '127.0.0.1', port: 0x35, isLoopback: false, inode: 11 },
    { address: '127.0.0.53', port: 0x36, isLoopback: true, inode: 12 },
    { address: '192.0.2.10', port: 0x16, isLoopback: false, inode: 14 },
    { address: '0000:0000:0000:0000:0000:0000:0000:0001', port: 0x37, isLoopback: true, inode: 15 },
    { address: '::1', port: 0x38, isLoopback: false, inode: 16 },
    { address: '2001:0db8:0000:0000:0000:0000:0000:0010', port: 0x39, isLoopback: false, inode: 17 },
  ])
})

test.each([
  ['0100007F', true],
  ['0100007E', false],
  ['000000000000000000000000010000FF', false],
  ['0000000000000000FFFF00000100007F', true],
  ['0000000000000000FFFF00000A0200C0', false],
  // 2001:d7f::10 and 2001:db8::7f00:0 only look like it, in the words of a little-endian machine.
  ['7F0D0120000000000000000010000000', false],
  ['B80D012000000000000000000000007F', false],
])('whether %s is loopback: %s', (hex, isLoopback) => {
  const remote = '0'.repeat(hex.length)
  const table = `   0: ${hex}:0035 ${remote}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 11 1`
  expect(seen(table).map((each) => each.isLoopback)).toEqual([isLoopback])
})

describe('a kernel that does not tell who listens', () => {
  const listener = (port: number): Listener => ({ family: 4, bytes: new Uint8Array(4), port, inode: 1 })

  function setUp(refusal: Error | undefined) {
    const kernel = { nowMs: 0, asked: 0, refusal }
    const { log, lines } = new TestLog()
    const listeners = new TcpListeners({
      log,
      now: () => kernel.nowMs,
      ask: () => {
        kernel.asked++
        if (kernel.refusal !== undefined) throw kernel.refusal
        return [listener(22)]
      },
      read: () => [listener(53)],
    })
    return { kernel, lines, ports: () => listeners.all().map(({ port }) => port) }
  }

  test('has its table read instead, which the log says once, and is asked again after an hour', () => {
    const { kernel, lines, ports } = setUp(new NetlinkError('list listening sockets', 'ENOENT', 'no module'))
    expect([ports(), ports()]).toEqual([[53], [53]])
    kernel.nowMs += 3599_999
    expect([ports(), kernel.asked]).toEqual([[53], 1])
    expect(lines).toEqual([
      'info listeners: cannot list listening sockets: ENOENT (no module): ' +
        'they are read from /proc/net/tcp, which takes longer',
    ])
    kernel.refusal = undefined
    kernel.nowMs++
    expect([ports(), ports(), kernel.asked]).toEqual([[22], [22], 3])
  })

  test('is no excuse for a mistake of our own', () => {
    expect(setUp(new TypeError('a mistake')).ports).toThrow('a mistake')
  })
})
