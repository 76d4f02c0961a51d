import { type StdioOptions, spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { CommanderError } from 'commander'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createProgram } from '../../src/cli/program.ts'
import { formatProgress } from '../../src/cli/progress.ts'
import { EXIT, Failure } from '../../src/failure.ts'
import { type Sent, writeCapture } from '../lib/replay.ts'
import { Scratch } from '../lib/scratch.ts'

const POLICY = `
services:
  ssh:
    ports: [22]
    limits: {source: {burst: 3, rate: 1/h}}
    ban: {strikes: 2, within: 10m}
  smtp: {ports: [25], limits: {source: {burst: 10, rate: 1/h}}}
ban: {proof: none}
`
const scratch = new Scratch()
const files = {
  policy: scratch.path('sluice.yaml'),
  lax: scratch.path('lax.yaml'),
  capture: scratch.path('attack.pcap'),
  cut: scratch.path('cut.pcap'),
  text: scratch.path('notes.txt'),
  link: scratch.path('link.pcap'),
  page: scratch.path('capture.html'),
}

beforeAll(() => {
  writeFileSync(files.policy, POLICY)
  writeFileSync(files.lax, POLICY.replace('burst: 3', 'burst: 30'))
  const attack: Sent[] = Array.from({ length: 9 }, (_, i) => ({
    atMs: i * 1000,
    from: '203.0.113.66',
    port: 22,
    sourcePort: 40_000 + i,
  }))
  const mail: Sent[] = Array.from({ length: 8 }, (_, i) => ({
    atMs: 10_000 + i,
    from: '2001:db8:600d::25',
    to: '2001:db8::1',
    port: 25,
    sourcePort: 50_000 + i,
  }))
  writeCapture(files.capture, [...attack, ...mail])
  writeFileSync(files.cut, readFileSync(files.capture).subarray(0, -10))
  symlinkSync(files.capture, files.link)
  cpSync(files.capture, files.page)
  writeFileSync(files.text, 'not a capture, but long enough to be one\n')
})
afterAll(() => scratch.close())

let output: string[]
let errors: string[]

beforeEach(() => {
  output = []
  errors = []
  vi.spyOn(console, 'log').mockImplementation((text) => void output.push(text))
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => errors.push(String(text)) > 0)
})
afterEach(() => vi.restoreAllMocks())

/** What `sluice replay` prints on standard output. */
async function replay(...argv: string[]): Promise<string> {
  const program = await createProgram(['replay'], '0.1.0')
  const policy = argv.includes('--config') ? [] : ['--config', files.policy]
  await program.parseAsync(['replay', ...argv, ...policy], { from: 'user' })
  return output.join('\n')
}

async function failure(...argv: string[]): Promise<Failure> {
  const error = await replay(...argv).catch((error: unknown) => error)
  if (!(error instanceof Failure)) throw error
  return error
}

describe('what people read', () => {
  test('who was limited and banned, when, by what and by how much, and who was close', async () => {
    expect(await replay(files.capture)).toBe(`\
capture  ${files.capture}
         17 packets, 2023-11-14 22:13:20 to 2023-11-14 22:13:30 UTC (10s)
policy   ${files.policy}, mode enforce
local    192.0.2.1, 2001:db8::1 (inferred: destination of all 17 attempts at service ports)

SERVICE  MODE     ATTEMPTS  ACCEPTED  REFUSED  BANNED  ALLOWED
ssh      enforce         9         3        2       4        0
smtp     enforce         8         8        0       0        0

Limited (NEEDED: the burst that would have let everything through)
WHO           SERVICE  LIMIT   AFTER  AT        REFUSED  OF  BURST  NEEDED
203.0.113.66  ssh      source  +3.0s  22:13:23        2   9      3       9

Banned (FOR: at least; up to 10 % more at random)
SOURCE        PORTS  AFTER  AT        FOR  OFFENCE  DROPS  REASON
203.0.113.66  ssh    +4.0s  22:13:24  10m        1      4  2 strikes within 10m

Close to a limit (at least 80 % of a bucket used up, nothing refused by it)
WHO                 SERVICE  LIMIT    AFTER  AT        ATTEMPTS  BURST  USED
2001:db8:600d::/64  smtp     source  +10.0s  22:13:30         8     10     8`)
  })

  test('whose DNS queries were refused, by which rule', async () => {
    const sweep = ['pcaps/dns-ptr-sweep.pcap.gz', '--config', 'rules/sluice.yaml']
    const text = await replay(...sweep)
    expect(text).toContain('\nrefused as: dns sweep 965\n')
    expect(text.slice(text.indexOf('\nLimited'))).toBe(`
Limited by the rules for DNS queries (WHY: the first time; docs/reasons.md)
SOURCE        SERVICE  WHY    AFTER  AT        REFUSED     OF
203.0.113.66  dns      sweep  +0.8s  03:24:52      965  1,024`)
  })

  test('how many of the refused were SYNs sent again', async () => {
    const again: Sent[] = Array.from({ length: 7 }, (_, i) => ({
      atMs: i * 1000,
      from: '203.0.113.66',
      port: 22,
      sourcePort: 40_000 + Math.min(i, 3),
      sequence: Math.min(i, 3) + 1,
    }))
    const text = await replay(writeCapture(scratch.path('again.pcap'), again))
    expect(text).toContain('ssh      enforce         7         3        4       0        0\n')
    expect(text).toContain('\nrefused as: ssh retransmission 3\n')
  })

  test('what another policy would change', async () => {
    const text = await replay(files.capture, '--against', files.lax)
    expect(text).toMatch(/Nobody|Limited/)
    expect(text.slice(text.indexOf('\nWith '))).toBe(`
With ${files.lax} instead
SERVICE  ACCEPTED  REFUSED  BANNED
ssh        3 -> 9   2 -> 0  4 -> 0
smtp       8 -> 8   0 -> 0  0 -> 0

No longer limited: 1
SOURCE        SERVICE  AFTER  AT        REFUSED  OF
203.0.113.66  ssh      +3.0s  22:13:23        2   9

No longer banned: 1
SOURCE        PORTS  AFTER  AT        FOR  REASON
203.0.113.66  ssh    +4.0s  22:13:24  10m  2 strikes within 10m`)
  })

  test('that there is nothing to judge', async () => {
    const web = writeCapture(scratch.path('web.pcap'), [{ atMs: 0, from: '203.0.113.1', port: 8080 }])
    const text = await replay(web)
    expect(text).toContain('local    unknown: there is no attempt at a port of a service in it')
    expect(text).toContain('No attempt at a port of a service came in: there is nothing to judge.')
  })

  test('no line is wider than 100 columns, whatever the addresses', async () => {
    const from = '2001:db8:ffff:ffff::1'
    const days = Array.from({ length: 60 }, (_, i) => {
      const atMs = Math.floor(i / 10) * 86_400_000 + (i % 10)
      return { atMs, from, to: '2001:db8::1', port: 22, sourcePort: i }
    })
    const wide = writeCapture(scratch.path('wide.pcap'), days)
    const text = (await replay(wide, '--against', files.lax)).replaceAll(scratch.directory, '.')
    expect(text).toContain('2001:db8:ffff:ffff::/64')
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100)
  })
})

describe('what programs read', () => {
  test('--json is one line with everything', async () => {
    vi.spyOn(process.stdout, 'write').mockImplementation((text, ...more) => {
      output.push(String(text))
      for (const each of more as unknown[]) if (typeof each === 'function') each()
      return true
    })
    const { policy, files: read, local } = JSON.parse(await replay(files.capture, '--json'))
    expect(read).toEqual([{ file: files.capture, packets: 17, broken: null }])
    expect(local.prefixes).toEqual(['192.0.2.1', '2001:db8::1'])
    expect(policy.limited[0]).toMatchObject({ who: '203.0.113.66', refused: 2, burstNeeded: 9 })
    expect(policy.banned[0]).toMatchObject({ source: '203.0.113.66', seconds: 600, dropped: 4 })
  })

  test('--csv is a line for each decision, beside the table', async () => {
    const csv = scratch.path('verdicts.csv')
    expect(await replay(files.capture, '--csv', csv)).toContain('Limited')
    const lines = readFileSync(csv, 'utf8').trimEnd().split('\n')
    expect(lines).toHaveLength(18)
    expect([lines[0], lines[1], lines[4], lines[6], lines[10]]).toEqual([
      'time,source,source_port,service,port,verdict,reason,packet',
      '2023-11-14T22:13:20.000000Z,203.0.113.66,40000,ssh,22,accept,within-limit,1',
      '2023-11-14T22:13:23.000000Z,203.0.113.66,40003,ssh,22,drop,source-limit,4',
      '2023-11-14T22:13:25.000000Z,203.0.113.66,40005,ssh,22,drop,banned,6',
      '2023-11-14T22:13:30.000000Z,2001:db8:600d::/64,50000,smtp,25,accept,within-limit,10',
    ])
  })
})

test('captures may follow the addresses of --local', async () => {
  const text = await replay('--local', '192.0.2.1', '2001:db8::/32', files.capture, files.capture)
  expect(text).toContain('34 packets')
  expect(text).toContain('local    192.0.2.1, 2001:db8::/32\n')
})

test('one attempt is not many', async () => {
  const one = writeCapture(scratch.path('one.pcap'), [{ atMs: 0, from: '203.0.113.1', port: 22 }])
  expect(await replay(one)).toContain('(inferred: destination of the only attempt at service ports)')
})

test('another policy that stops nobody says so', async () => {
  writeFileSync(scratch.path('shadow.yaml'), `mode: shadow\n${POLICY}`)
  const text = await replay(files.capture, '--against', scratch.path('shadow.yaml'))
  expect(text).toMatch(/^With .*shadow\.yaml instead, mode shadow$/m)
})

describe('a capture that is broken', () => {
  test('is reported as far as it goes, and the exit status says that it was', async () => {
    const { status, message } = await failure(files.cut)
    expect(status).toBe(EXIT.dataError)
    expect(message).toMatch(/^.*cut\.pcap: broken at byte \d+, packet 17: .*; packets read before: 16$/)
    expect(output.join('\n')).toContain('203.0.113.66  ssh      source')
    expect(output.join('\n')).toMatch(/note {5}broken at byte \d+, packet 17/)
  })

  test('does not keep those behind it from being read', async () => {
    const { message } = await failure(files.cut, files.capture)
    expect(message.split('\n')).toHaveLength(1)
    expect(output.join('\n')).toContain('33 packets')
  })
})

describe('wrong use', () => {
  test.each<[what: string, argv: () => string[], status: number, message: RegExp]>([
    [
      'a missing file',
      () => [scratch.path('nix')],
      EXIT.noInput,
      /nix: cannot open: ENOENT: no such file or directory$/,
    ],
    ['a directory', () => [scratch.directory], EXIT.noInput, /is a directory, not a capture$/],
    ['a text file', () => [files.text], EXIT.dataError, /notes\.txt: is neither pcap nor pcapng/],
    ['a bad policy', () => [files.capture, '--config', files.text], EXIT.config, /notes\.txt:1:1: /],
    [
      'a bad policy to compare with',
      () => [files.capture, '--against', files.text],
      EXIT.config,
      /notes\.txt:1:1: /,
    ],
    ['no policy', () => [files.capture, '--config', '/nix'], EXIT.noInput, /cannot read the policy \/nix/],
    [
      'CSV to nowhere',
      () => [files.capture, '--csv', '/nix/x.csv'],
      EXIT.cannotCreate,
      /^\/nix\/x\.csv: cannot write: ENOENT: no such file or directory$/,
    ],
    [
      'CSV over a capture',
      () => [files.capture, '--csv', files.capture],
      EXIT.usage,
      /--csv would overwrite the capture/,
    ],
    [
      'CSV and JSON in one stream',
      () => [files.capture, '--csv', '-', '--json'],
      EXIT.usage,
      /both want standard output/,
    ],
    [
      'CSV over a capture under another name',
      () => [files.capture, '--csv', files.link],
      EXIT.usage,
      /--csv would overwrite the capture .*attack\.pcap$/,
    ],
    [
      'CSV over the policy',
      () => [files.capture, '--csv', `${scratch.directory}/./sluice.yaml`],
      EXIT.usage,
      /--csv would overwrite the policy .*sluice\.yaml$/,
    ],
    [
      'a report over a capture',
      () => [files.page, '--report', files.page],
      EXIT.usage,
      /--report would overwrite the capture .*capture\.html$/,
    ],
    [
      'CSV and a report into one file',
      () => [files.capture, '--csv', scratch.path('x.html'), '--report', `${scratch.directory}/./x.html`],
      EXIT.usage,
      /--report would overwrite what --csv has written/,
    ],
    [
      'captures in two places',
      () => [files.capture, '--local', '192.0.2.1', files.cut],
      EXIT.usage,
      /two places: .*attack\.pcap and, behind --local, .*cut\.pcap$/,
    ],
    ['standard input twice', () => ['-', '-'], EXIT.usage, /can be read only once/],
  ])('%s: one message and a status', async (_, argv, status, message) => {
    const failed = await failure(...argv())
    expect({ status: failed.status, message: failed.message }).toEqual({
      status,
      message: expect.stringMatching(message),
    })
    expect(output).toEqual([])
    expect(errors).toEqual([])
  })

  test('a wrong name among many is found before any of them is replayed', async () => {
    const csv = scratch.path('never.csv')
    await failure(files.capture, scratch.path('nix'), '--csv', csv)
    expect(existsSync(csv)).toBe(false)
  })

  test.each([
    [['--local', '192.0.2.300', '--', 'x.pcap'], /"192\.0\.2\.300" is no IPv4 or IPv6 address or prefix/],
    [['--local', '192.0.2.1', 'x.pcap'], /"x\.pcap" is no .*; nor a file that is there/],
    [[], /missing required argument 'files'/],
  ])('%j', async (argv, message) => {
    await expect(replay(...argv)).rejects.toThrow(CommanderError)
    expect(errors.join('')).toMatch(message)
  })
})

test('the progress line says how far, how fast and how long still, in 80 columns', () => {
  const of = (bytesTotal: number | undefined) =>
    formatProgress({ bytes: 3e8, bytesTotal, packets: 1_500_000 }, 2)
  expect(of(4e8)).toBe('[###############-----]  75 %  750 k packets/s  150 MB/s  1s left')
  expect(of(undefined)).toBe('1,500,000 packets  750 k packets/s  150 MB/s')
  const widest = formatProgress({ bytes: 123e6, bytesTotal: 4e15, packets: 123_456 }, 1000.1)
  expect(widest.length).toBeLessThanOrEqual(80)
})

describe('a host with neither the addon nor root', () => {
  /** The program without build/, run by a user who may nothing. */
  function run(argv: readonly string[], input?: Buffer | number, stdout: 'pipe' | number = 'pipe') {
    const args = ['--import', import.meta.resolve('tsx'), scratch.path('src/main.ts'), 'replay', ...argv]
    const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
    const env = { PATH: process.env.PATH, TMPDIR: '/tmp' }
    const given = typeof input === 'number' ? {} : { input }
    const stdio: StdioOptions = [typeof input === 'number' ? input : 'pipe', stdout, 'pipe']
    return spawnSync(process.execPath, args, { ...given, stdio, encoding: 'utf8', env, cwd: '/', ...nobody })
  }

  beforeAll(() => {
    for (const name of ['src', 'package.json']) cpSync(name, scratch.path(name), { recursive: true })
    symlinkSync(`${process.cwd()}/node_modules`, scratch.path('node_modules'))
  })

  test('replays files', () => {
    const { status, stdout, stderr } = run([files.capture, '--config', files.policy])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('203.0.113.66  ssh      source')
  })

  test('replays standard input, and says the same of it', () => {
    const piped = run(['-', '--config', files.policy, '--json'], readFileSync(files.capture))
    const named = run([files.capture, '--config', files.policy, '--json'])
    expect(piped.status).toBe(0)
    expect(piped.stdout).toBe(named.stdout.replace(files.capture, '-'))
  })

  test.skipIf(!existsSync('/dev/full'))('says that what it writes to has no room', () => {
    const full = openSync('/dev/full', 'w')
    try {
      const each = [[], ['--json'], ['--csv', '-']].map((more) =>
        run([files.capture, '--config', files.policy, ...more], undefined, full),
      )
      for (const { status, stderr } of each) {
        expect(status).toBe(EXIT.cannotCreate)
        expect(stderr).toMatch(/^sluice: .*ENOSPC: no space left on device\n$/)
      }
    } finally {
      closeSync(full)
    }
  })

  test('leaves a report alone that is protected, though its directory is not', () => {
    const page = scratch.path('protected/report.html')
    mkdirSync(scratch.path('protected'))
    chmodSync(scratch.path('protected'), 0o777)
    writeFileSync(page, 'before', { mode: 0o444 })
    const { status, stdout, stderr } = run([files.capture, '--config', files.policy, '--report', page])
    expect({ status, stdout }).toEqual({ status: EXIT.cannotCreate, stdout: '' })
    expect(stderr).toMatch(/report\.html: cannot write: EACCES: permission denied\n$/)
    expect(readFileSync(page, 'utf8')).toBe('before')
  })

  test('does not take a directory for an empty stream', () => {
    const directory = openSync('/', 'r')
    const { status, stderr } = run(['-', '--config', files.policy], directory)
    closeSync(directory)
    expect(status).toBe(EXIT.noInput)
    expect(stderr).toBe('sluice: standard input is a directory, not a capture\n')
  })

  test('ends with 65 for a broken stream, after the table', () => {
    const { status, stdout, stderr } = run(['-', '--config', files.policy], readFileSync(files.cut))
    expect(status).toBe(EXIT.dataError)
    expect(stdout).toContain('203.0.113.66  ssh      source')
    expect(stderr).toMatch(/^sluice: standard input: broken at byte \d+, packet 17: /)
  })
})
