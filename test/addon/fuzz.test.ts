import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'

const exec = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SECONDS = 20

const directory = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** A netlink attribute in host order, padded to four bytes. */
function attribute(type: number, ...payload: number[]): number[] {
  const length = 4 + payload.length
  return [length, 0, type & 255, type >> 8, ...payload, ...new Array((4 - (length % 4)) % 4).fill(0)]
}

function message(type: number, ...payload: number[]): Buffer {
  const bytes = Buffer.from([...new Array(16).fill(0), ...payload])
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt16LE(type, 4)
  bytes.writeUInt32LE(1, 8)
  return bytes
}

const NESTED = 0x8000
const NET_ORDER = 0x4000

/** NFNL_SUBSYS_QUEUE, NFQNL_MSG_PACKET: packet header, mark, input interface, time, cut length, payload. */
const packet = message(
  3 << 8,
  ...[2, 0, 0, 7],
  ...attribute(1, 0, 0, 0, 1, 8, 0, 0),
  ...attribute(3, 0, 0, 0, 9),
  ...attribute(5, 0, 0, 0, 1),
  ...attribute(4, ...new Array(16).fill(1)),
  ...attribute(13, 0, 0, 2, 0),
  ...attribute(10, 0x45, 0, 0, 40, 1, 2, 3, 4),
)

const failure = message(2, 0xfe, 0xff, 0xff, 0xff)

/** IPSET_CMD_LIST: name, header with an element count, one entry of address, length and timeout. */
const set = message(
  (6 << 8) | 7,
  ...[0, 0, 0, 0],
  ...attribute(2, 0x73, 0x65, 0x74, 0),
  ...attribute(7 | NESTED, ...attribute(24 | NET_ORDER, 0, 0, 0, 1)),
  ...attribute(
    8 | NESTED,
    ...attribute(
      7 | NESTED,
      ...attribute(1 | NESTED, ...attribute(1 | NET_ORDER, 192, 0, 2, 1)),
      ...attribute(3, 24),
      ...attribute(6 | NET_ORDER, 0, 0, 1, 0),
    ),
  ),
)

/** IPCTNL_MSG_CT_NEW: original tuple, zone, id. */
const flow = message(
  1 << 8,
  ...[2, 0, 0, 0],
  ...attribute(
    1 | NESTED,
    ...attribute(1 | NESTED, ...attribute(1, 192, 0, 2, 1), ...attribute(2, 192, 0, 2, 2)),
  ),
  ...attribute(18, 0, 3),
  ...attribute(12, 1, 2, 3, 4),
)

/** SOCK_DIAG_BY_FAMILY: TCP_LISTEN on port 22 of any IPv6 address, and its inode. */
const listener = message(
  20,
  ...[10, 10, 0, 0],
  ...[0, 22, 0, 0],
  ...new Array(44).fill(0),
  ...new Array(16).fill(0),
  ...[1, 2, 0, 0],
)

/** A PTR query with an OPT record behind its question, and the headers in front of it. */
const udp = [0x9c, 0x40, 0, 53, 0, 67, 0, 0]
const dns = [
  ...[0xbe, 0xef, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1],
  ...[
    1,
    0x31,
    1,
    0x32,
    1,
    0x33,
    1,
    0x34,
    7,
    ...Buffer.from('in-addr'),
    4,
    ...Buffer.from('arpa'),
    0,
    0,
    12,
    0,
    1,
  ],
  ...[0, 0, 41, 16, 0, 0, 0, 0x80, 0, 0, 0],
]
const query4 = Buffer.from([
  ...[0x45, 0, 0, 87, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2],
  ...udp,
  ...dns,
])
const query6 = Buffer.from([
  ...[0x60, 0, 0, 0, 0, 67, 17, 64],
  ...[0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 1],
  ...[0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 2],
  ...udp,
  ...dns,
])

/** IPCTNL_MSG_CT_NEW of an assured TCP flow, with all that is read of it. */
const assured = message(
  1 << 8,
  ...[10, 0, 0, 0],
  ...attribute(
    1 | NESTED,
    ...attribute(
      1 | NESTED,
      ...attribute(3, ...new Array(16).fill(1)),
      ...attribute(4, ...new Array(16).fill(2)),
    ),
    ...attribute(2 | NESTED, ...attribute(1, 6), ...attribute(2, 160, 0), ...attribute(3, 0, 22)),
  ),
  ...attribute(3, 0, 0, 0, 4),
  ...attribute(4 | NESTED, ...attribute(1 | NESTED, ...attribute(1, 3))),
  ...attribute(9 | NESTED, ...attribute(1, 0, 0, 0, 0, 0, 0, 0, 9), ...attribute(2, 0, 0, 0, 0, 0, 0, 9, 0)),
  ...attribute(10 | NESTED, ...attribute(1, 0, 0, 0, 0, 0, 0, 0, 7), ...attribute(2, 0, 0, 0, 0, 0, 0, 7, 0)),
  ...attribute(12, 1, 2, 3, 4),
  ...attribute(
    20 | NESTED,
    ...attribute(1, 24, 1, 2, 3, 4, 5, 6, 7),
    ...attribute(2, 24, 1, 2, 3, 4, 5, 6, 8),
  ),
)

test.concurrent.for([
  {
    target: 'fuzz-flows',
    sources: ['flow.cc', 'flow-datagram.cc', 'netlink.cc'],
    seeds: [assured, flow, Buffer.concat([assured, flow, assured]), assured.subarray(0, 90)],
  },
  {
    target: 'fuzz-packet',
    sources: ['packet.cc'],
    seeds: [
      packet,
      Buffer.concat([packet, packet]),
      Buffer.concat([failure, packet]),
      packet.subarray(0, 60),
    ],
  },
  {
    target: 'fuzz-answers',
    sources: ['netlink.cc', 'ipset.cc', 'conntrack.cc', 'listeners.cc'],
    seeds: [
      set,
      flow,
      listener,
      Buffer.concat([set, flow, listener, failure]),
      Buffer.concat([failure, flow.subarray(0, 50)]),
      listener.subarray(0, 60),
    ],
  },
  {
    target: 'fuzz-reply',
    sources: ['reply.cc'],
    seeds: [query4, query6, query4.subarray(0, 50)],
  },
])(
  '$target finds nothing to complain about',
  { timeout: (SECONDS + 100) * 1000 },
  async ({ target, sources, seeds }) => {
    const binary = join(directory, target)
    const corpus = join(directory, `${target}-corpus`)
    mkdirSync(corpus)
    for (const [i, seed] of seeds.entries()) writeFileSync(join(corpus, String(i)), seed)
    const files = [`test/addon/${target}.cc`, ...sources.map((source) => `native/${source}`)]
    const sanitizers = ['-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=undefined']
    const flags = ['-std=c++17', '-g', '-O1', '-Wall', '-Wextra', '-Werror', ...sanitizers]
    await exec('clang++-16', [...flags, ...files, '-lmnl', '-o', binary], { cwd: ROOT })
    const limits = [`-max_total_time=${SECONDS}`, '-max_len=8192', '-timeout=5', '-rss_limit_mb=1024']
    const { stderr } = await exec(
      binary,
      [...limits, '-use_value_profile=1', '-print_final_stats=1', corpus],
      {
        cwd: directory,
        maxBuffer: 1 << 26,
      },
    )
    const runs = Number(/stat::number_of_executed_units: (\d+)/.exec(stderr)?.[1])
    expect(runs, stderr).toBeGreaterThan(10_000)
  },
)
