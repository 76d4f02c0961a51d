import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  BATCH_MAX,
  FAMILY_WORD,
  FULL_LENGTH_WORD,
  HOOK_WORD,
  ID_WORD,
  IN_INTERFACE_WORD,
  LENGTH_WORD,
  MARK_WORD,
  QUEUE_WORD,
} from '../../src/kernel/queue.ts'
import { addonBuilds, buildFaultLibrary, type ProgramOptions, runProgram } from '../lib/addon-builds.ts'
import { type Host, Lab } from '../lib/lab.ts'

/** test/addon/programs/lab.mjs sends to these ports; their packets go to queues 7 and 8. */
const QUEUE_OF_PORT = { 5000: 7, 5001: 8 }
const FLOOD_PORT = '5002'
const MARK = 0xcafe

const directory = mkdtempSync(join(tmpdir(), 'sluice-'))
let lab: Lab
let host: Host
let faultLibrary: string

beforeAll(() => {
  faultLibrary = buildFaultLibrary()
  lab = Lab.create(['one'])
  host = lab.host('one')
  for (const iptables of ['iptables', 'ip6tables']) {
    host.run(iptables, '-t', 'mangle', '-A', 'PREROUTING', '-j', 'MARK', '--set-mark', String(MARK))
    for (const [port, queue] of Object.entries(QUEUE_OF_PORT)) {
      const target = ['-j', 'NFQUEUE', '--queue-num', String(queue), '--queue-bypass']
      host.run(iptables, '-t', 'mangle', '-A', 'PREROUTING', '-p', 'udp', '--dport', port, ...target)
    }
  }
  // Behind the queue: counts what got through it, whoever listens.
  for (const port of ['5000', FLOOD_PORT]) {
    host.run('iptables', '-t', 'mangle', '-A', 'INPUT', '-p', 'udp', '--dport', port)
  }
})

afterAll(() => {
  lab?.close()
  rmSync(directory, { recursive: true, force: true })
})

/** 0 to `end - 1`, without `missing`. */
function numbers(end: number, ...missing: number[]): number[] {
  return Array.from({ length: end }, (_, n) => n).filter((n) => !missing.includes(n))
}

function passedPackets(port: string): number {
  const rows = host.run('iptables', '-t', 'mangle', '-vnxL', 'INPUT').split('\n')
  return Number.parseInt(rows.find((row) => row.endsWith(`dpt:${port}`)) ?? '', 10)
}

type Counters = Readonly<Record<string, number>>

const NOTHING_WRONG = {
  enobufs: 0,
  interrupted: 0,
  receiveErrors: 0,
  truncated: 0,
  malformed: 0,
  verdictErrors: 0,
  verdictRetries: 0,
  verdictsLost: 0,
  callbackErrors: 0,
  replies: 0,
  repliesUnmade: 0,
  repliesForbidden: 0,
  replyErrors: 0,
}

describe.each(addonBuilds())('a packet queue, by $name', (build) => {
  const run = <T>(program: readonly [string, ...string[]], options?: ProgramOptions) =>
    runProgram<T>(host, build, program, options)

  test('packets come in batches of 64 at most, in order, all of them accepted unless said otherwise', async () => {
    const report = await run<{
      sizes: number[]
      times: [number, number][]
      uptimeMs: number
      received: number[]
      waiting: unknown
      counters: Counters
    }>(['queue', 'batches'])
    expect(report.sizes).toEqual([64, 64, 64, 8])
    expect(report.received).toEqual(numbers(200))
    expect(report.waiting).toEqual([
      { queue: 7, waiting: 200, kernelDropped: 0, userDropped: 0, lastId: 200 },
    ])
    expect(report.counters).toEqual({ ...NOTHING_WRONG, batches: 4, packets: 200 })
    // process.hrtime() is CLOCK_MONOTONIC too.
    const receivedMs = report.times.map(([nowMs]) => nowMs)
    expect(receivedMs).toEqual([...receivedMs].sort((a, b) => a - b))
    expect(report.uptimeMs - receivedMs[0]!).toBeGreaterThan(0)
    expect(report.uptimeMs - receivedMs[0]!).toBeLessThan(5000)
    const tookMicroseconds = report.times.map(([, took]) => took)
    expect(tookMicroseconds[0]).toBe(0)
    expect(Math.min(...tookMicroseconds.slice(1))).toBeGreaterThan(0)
  })

  test('dropped packets are lost, accepted ones arrive in order, whichever verdict is the rarer', async () => {
    const { report, verdictErrors, waiting } = await run<{
      report: { name: string; expected: number[]; received: number[] }[]
      verdictErrors: number
      waiting: unknown[]
    }>(['queue', 'verdicts'])
    expect(report).toHaveLength(8)
    for (const { name, expected, received } of report) expect(received, name).toEqual(expected)
    expect(verdictErrors).toBe(0)
    expect(waiting).toEqual([])
  })

  test('two queues of one socket share a batch and keep their verdicts apart', async () => {
    const report = await run<{ sizes: number[]; received: number[][]; counters: Counters }>([
      'queue',
      'two queues',
    ])
    expect(report.sizes).toEqual([40])
    expect(report.received[0]).toEqual(numbers(20).filter((n) => n % 4 !== 0))
    expect(report.received[1]).toEqual(numbers(20).filter((n) => n % 4 === 0))
    expect(report.counters.verdictErrors).toBe(0)
  })

  test('a descriptor says family, queue, hook, interface, mark and both lengths', async () => {
    const { packets } = await run<{ packets: { words: number[]; bytes: number[] }[] }>(['queue', 'fields'])
    const [v4, v6] = packets as [(typeof packets)[0], (typeof packets)[0]]
    const fields = ({ words }: { words: number[] }) => ({
      id: words[ID_WORD],
      length: words[LENGTH_WORD],
      fullLength: words[FULL_LENGTH_WORD],
      queue: words[QUEUE_WORD],
      hook: words[HOOK_WORD],
      family: words[FAMILY_WORD],
      inInterface: words[IN_INTERFACE_WORD],
      mark: words[MARK_WORD],
    })
    const common = { queue: 7, hook: 0, inInterface: 1, mark: MARK }
    expect(fields(v4)).toEqual({ ...common, id: 1, family: 2, length: 44, fullLength: 44 })
    expect(fields(v6)).toEqual({ ...common, id: 2, family: 10, length: 100, fullLength: 40 + 8 + 500 })
    // IPv4, header length 5, protocol 17 (UDP), 127.0.0.1 to itself, port 5000, the number sent.
    expect(v4.bytes[0]).toBe(0x45)
    expect(v4.bytes[9]).toBe(17)
    expect(v4.bytes.slice(12, 20)).toEqual([127, 0, 0, 1, 127, 0, 0, 1])
    expect(v4.bytes.slice(22, 24)).toEqual([5000 >> 8, 5000 & 255])
    expect(v4.bytes.slice(28, 32)).toEqual([1, 2, 3, 4])
    // IPv6, next header 17, its number behind 40 + 8 bytes; cut to the copy range.
    expect(v6.bytes[0]).toBe(0x60)
    expect(v6.bytes[6]).toBe(17)
    expect(v6.bytes.slice(48, 52)).toEqual([1, 2, 3, 4])
    expect(v6.bytes).toHaveLength(100)
  })

  test('a descriptor says when the packet arrived if the kernel took the time', async () => {
    const { timestamp, unixMs } = await run<{ timestamp: number; unixMs: number }>(['queue', 'timestamp'])
    const ageMs = (unixMs % 2 ** 32) - timestamp
    expect(ageMs).toBeGreaterThanOrEqual(0)
    expect(ageMs).toBeLessThan(10_000)
  })

  test('a full queue lets packets pass if it is to fail open, and loses them if not', async () => {
    type Report = { kernel: { waiting: number; kernelDropped: number }; packets: number; received: number[] }
    const open = await run<Report>(['queue', 'full queue', 'true'])
    expect(open.kernel).toMatchObject({ waiting: 10, kernelDropped: 0 })
    expect(open.packets).toBe(11)
    expect(open.received.toSorted((a, b) => a - b)).toEqual([...numbers(100), 1000])

    const closed = await run<Report>(['queue', 'full queue', 'false'])
    expect(closed.kernel).toMatchObject({ waiting: 10, kernelDropped: 90 })
    expect(closed.received).toEqual([...numbers(10), 1000])
  })

  test('an exception in the callback is uncaught only after every packet has its verdict', async () => {
    const report = await run<{
      caught: string[]
      arrivedWhenCaught: number[]
      received: number[]
      counters: Counters
    }>(['queue', 'throws'])
    expect(report.caught).toEqual(['at packet 5'])
    expect(report.arrivedWhenCaught).toEqual([0])
    expect(report.received).toEqual([...numbers(64, 0), 100])
    expect(report.counters).toEqual({ ...NOTHING_WRONG, callbackErrors: 1, batches: 2, packets: 65 })
  })

  test('close() accepts what waits', async () => {
    const report = await run<{ bound: unknown[]; received: number[]; batches: number }>(['queue', 'close'])
    expect(report).toEqual({ bound: [], received: numbers(200), batches: 0 })
  })

  test('close() in the callback takes effect after the verdicts of that batch', async () => {
    const report = await run<{ bound: unknown[]; received: number[]; counters: Counters }>([
      'queue',
      'close in the callback',
    ])
    expect(report.received).toEqual(numbers(200, 0, 1))
    expect(report.counters).toMatchObject({ ...NOTHING_WRONG, batches: 1, packets: 64 })
    expect(report.bound).toEqual([])
  })

  test('no packet is lost when a queue is closed under a flood', async () => {
    const started = join(directory, randomUUID())
    const before = passedPackets(FLOOD_PORT)
    const program = run<{ packets: number; bound: unknown[] }>([
      'queue',
      'close under flood',
      FLOOD_PORT,
      started,
    ])
    await vi.waitUntil(() => existsSync(started), 10_000)
    const flood = host.attempt('python3', '-c', FLOOD, FLOOD_PORT)
    const { packets, bound } = await program
    const sent = Number((await flood).stdout)
    expect(bound).toEqual([])
    expect(packets).toBeGreaterThan(1000)
    expect(passedPackets(FLOOD_PORT) - before).toBe(sent)
  })

  test('packets that come while further queues are bound are accepted unseen', async () => {
    const before = passedPackets('5000')
    const report = await run<Counters>(['queue', 'bind under load'], {
      env: { FAULT: 'slow-config:4' },
      preload: [faultLibrary],
    })
    // Each of three requests took 100 ms, and of the last one's packets some may still wait.
    expect(report.acceptedUnseen).toBeGreaterThan(BATCH_MAX)
    expect(report.packets! + report.acceptedUnseen!).toBeLessThanOrEqual(report.sent!)
    expect(report.packets).toBeGreaterThan(0)
    expect(report.verdictErrors).toBe(0)
    expect(passedPackets('5000') - before).toBe(report.sent)
  })

  test('the thread gets to other work after 16 batches', async () => {
    const { steps, batches } = await run<{ steps: number[]; batches: number }>(['queue', 'other work'])
    expect(batches).toBe(63)
    expect(Math.max(...steps)).toBe(16)
  })

  test('a taken queue number is named, and nothing stays bound', async () => {
    const report = await run<{ errors: unknown[]; bound: number[]; after: unknown }>(['queue', 'bind errors'])
    const error = {
      name: 'NetlinkError',
      code: 'EBUSY',
      message: 'cannot bind queue 7: EBUSY (another process holds it)',
    }
    expect(report).toEqual({ errors: [error, error], bound: [7], after: null })
  })

  test.each([
    {
      what: 'a missing capability',
      code: 'EPERM',
      message: 'cannot open an NFQUEUE socket: EPERM (CAP_NET_ADMIN is missing)',
      options: { wrapper: ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'] },
    },
    {
      what: 'a kernel without NFQUEUE',
      code: 'EPROTONOSUPPORT',
      message: 'cannot open an NFQUEUE socket: EPROTONOSUPPORT (the kernel has no NFQUEUE)',
      options: { env: { FAULT: 'no-nfqueue:1' } },
    },
    {
      what: 'a kernel without nfnetlink',
      code: 'EPROTONOSUPPORT',
      message: 'cannot open an NFQUEUE socket: EPROTONOSUPPORT (the kernel has no nfnetlink)',
      options: { env: { FAULT: 'socket-eprotonosupport:1' } },
    },
    {
      what: 'an answer that does not come',
      code: 'ENOBUFS',
      message: 'cannot open an NFQUEUE socket: ENOBUFS',
      options: { env: { FAULT: 'recv-eagain:1' } },
    },
  ])('$what is named', async ({ code, message, options }) => {
    const report = await run(['queue', 'open error'], { preload: [faultLibrary], ...options })
    expect(report).toEqual({ name: 'NetlinkError', code, message })
  })

  /**
   * `seen`: the numbers that the callback reads, null for a packet without its bytes. `waiting`: packets
   * left in the kernel's queue by the fault, before the next batch takes them along.
   */
  test.each<{
    fault: string
    counted: Counters
    seen?: (number | null)[]
    waiting?: number
    copyBytes?: number
  }>([
    { fault: 'recv-eintr:5', counted: { interrupted: 5 } },
    { fault: 'recv-enobufs:5', counted: { enobufs: 5 } },
    { fault: 'recv-eio:5', counted: { receiveErrors: 5 } },
    { fault: 'rcvbufforce-eperm:1', counted: {} },
    { fault: 'recv-short:1', counted: { truncated: 1 }, seen: [null, ...numbers(76, 0)] },
    { fault: 'recv-no-id:1', counted: { truncated: 1, malformed: 1 }, seen: numbers(76, 0) },
    { fault: 'recv-stub:1', counted: { malformed: 1 }, seen: numbers(76, 0) },
    { fault: 'recv-zero-length:1', counted: { malformed: 1 }, seen: numbers(76, 0) },
    { fault: 'recv-unknown-type:1', counted: { malformed: 1 }, seen: numbers(76, 0) },
    { fault: 'recv-short-error:1', counted: { verdictErrors: 1 }, seen: numbers(76, 0) },
    { fault: 'recv-merged:2', counted: {}, copyBytes: 65_531 },
    { fault: 'recv-merged-twice:1', counted: {}, copyBytes: 65_531 },
    { fault: 'send-eintr:3', counted: { verdictRetries: 3 } },
    { fault: 'send-eagain:3', counted: { verdictRetries: 3 } },
    { fault: 'send-enobufs:15', counted: { verdictRetries: 15 } },
    { fault: 'send-enobufs:32', counted: { verdictRetries: 30, verdictsLost: 2 }, waiting: 70 },
    { fault: 'send-eio:2', counted: { verdictsLost: 2 }, waiting: 70 },
    { fault: 'verdict-old-id:2', counted: { verdictErrors: 2 }, waiting: 70 },
  ])('$fault is counted as $counted, and every packet arrives', async ({ fault, ...expected }) => {
    const report = await run<{
      numbers: (number | null)[]
      waiting: number
      received: number[]
      counters: Counters
    }>(['queue', 'faults', String(expected.copyBytes ?? 256)], {
      env: { FAULT: fault },
      preload: [faultLibrary],
    })
    const seen = expected.seen ?? numbers(76)
    expect(report.numbers).toEqual(seen)
    expect(report.waiting).toBe(expected.waiting ?? 0)
    expect(report.received).toEqual(numbers(76))
    const { batches, ...counters } = report.counters
    expect(batches).toBeGreaterThan(1)
    expect(counters).toEqual({ ...NOTHING_WRONG, packets: seen.length, ...expected.counted })
  })

  test("the kernel's own ENOBUFS does not end the polling", async () => {
    const report = await run<{ received: number; counters: Counters }>(['queue', 'real enobufs'], {
      env: { FAULT: 'without-no-enobufs:1' },
      preload: [faultLibrary],
    })
    expect(report.received).toBe(103)
    expect(report.counters).toMatchObject({ ...NOTHING_WRONG, enobufs: 1 })
  })

  test("the kernel refuses another process's datagram", async () => {
    const report = await run<{ forger: string; received: number[]; counters: Counters }>(['queue', 'foreign'])
    expect(report.forger).toBe('ECONNREFUSED')
    expect(report.received).toEqual(numbers(3))
    expect(report.counters).toEqual({ ...NOTHING_WRONG, batches: 1, packets: 3 })
  })
})

describe.each(addonBuilds())('a packet queue in worker threads, by $name', (build) => {
  const run = <T>(scenario: string) => runProgram<T>(host, build, ['threads', scenario])

  test('two at once have a queue each; traffic flows when one is closed and one terminated', async () => {
    const report = await run('two at once')
    expect(report).toEqual({ judged: [200, 200], bound: [], received: [210, 210] })
  })

  test('the addon is loaded and unloaded with each of ten threads', async () => {
    const report = await run('many in turn')
    expect(report).toEqual({ exits: new Array(10).fill(0), received: 100, bound: [] })
  })

  test('a thread terminated in its callback gives every packet its verdict', async () => {
    const report = await run('terminate in the callback')
    expect(report).toEqual({ waiting: 200, received: numbers(200), bound: [] })
  })

  test('a thread that dies of an exception gives every packet its verdict', async () => {
    const report = await run<{ received: number[] }>('throw in the callback')
    // When the queue is gone, new packets overtake the last of those that waited.
    report.received.sort((a, b) => a - b)
    expect(report).toEqual({ error: 'at packet 5', received: numbers(201, 0), bound: [] })
  })

  test('a process that exits gives what waits its verdict', async () => {
    const before = passedPackets('5000')
    expect(await run('process exit')).toEqual({ waiting: 200 })
    expect(passedPackets('5000') - before).toBe(200)
  })
})

test('the tests above leave no queue behind', () => {
  expect(host.run('cat', '/proc/net/netfilter/nfnetlink_queue')).toBe('')
  expect(execFileSync('ip', ['netns', 'pids', host.namespace], { encoding: 'utf8' })).toBe('')
})

/** Sends for a second; prints how many packets the network took. */
const FLOOD = `
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + 1
sent = 0
while time.monotonic() < end:
    for _ in range(100): sent += s.sendto(b'\\0' * 32, ('127.0.0.1', int(sys.argv[1]))) == 32
print(sent)
`
