import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createProgram } from '../../src/cli/program.ts'
import { formatStatus } from '../../src/cli/status.ts'
import { formatTable } from '../../src/cli/table.ts'
import { openControlSocket } from '../../src/control/requests/control-socket.ts'
import type { Results, StatusReport } from '../../src/control/requests/protocol.ts'
import type { Request } from '../../src/control/requests/requests.ts'
import type { BanRow } from '../../src/control/requests/rows.ts'
import { EXIT } from '../../src/failure.ts'
import { Scratch } from '../lib/scratch.ts'
import { TestLog } from '../lib/test-log.ts'

const BAN: BanRow = {
  prefix: '203.0.113.1',
  scope: 'ssh',
  mode: 'enforce',
  since: '2026-01-01T00:00:00.000Z',
  until: '2026-01-01T00:10:00.000Z',
  secondsLeft: 598,
  offence: 1,
  origin: 'strikes',
  proof: 'none',
  reason: '5 strikes within 10m',
}

const STATUS: StatusReport = {
  version: '0.1.0',
  pid: 4711,
  uptimeSeconds: 7500,
  policyFile: '/etc/sluice/sluice.yaml',
  mode: 'enforce',
  panic: null,
  trial: null,
  threads: { count: 2, live: 2, restarts: 1 },
  queues: [
    { queue: 9713, waiting: 3, received: 1_234_567_890, dropped: 0, bypassed: 12 },
    { queue: 9714, waiting: 0, received: 7, dropped: 0, bypassed: 0 },
  ],
  services: [
    {
      name: 'ssh',
      mode: 'enforce',
      ports: ['22/tcp'],
      accepted: 812,
      refused: 1_904_311,
      strikes: 40_000,
      failures: 12,
      known: 3,
      bans: 12,
      holds: 3,
    },
    {
      name: 'submission',
      mode: 'shadow',
      ports: ['465/tcp', '587/tcp'],
      accepted: 1,
      refused: 0,
      strikes: 0,
      failures: 12,
      known: 3,
      bans: 0,
      holds: 0,
    },
  ],
  bansOfAllPorts: 1,
  firewall: { inPlace: true, problems: [], repairs: 2, lastRepair: '2026-01-01T00:00:00.000Z' },
  lastReload: { at: '2026-01-01T00:01:00.000Z', ok: true, message: 'reloaded /etc/sluice/sluice.yaml' },
  store: { path: '/var/lib/sluice/store', problem: null },
  sessions: { open: 3, seen: 1204, closed: 1201, provenSources: 17, problem: null },
  allowed: 9,
  tracked: 12_345,
  metrics: 'http://127.0.0.1:9713/metrics',
}

const CLEARED = { strikes: 0, offences: 1, failedLogins: 0, sources: 1, strikesStay: false }
const PANIC: Results['panic'] = {
  since: '2026-01-01T00:00:00.000Z',
  reason: 'by hand',
  isRemembered: true,
  lifted: 2,
  notes: [],
}

const EXPLAINED: Results['explain'] = {
  address: '::1',
  source: '::/64',
  network: '::/48',
  at: '2026-01-01T00:00:00.000Z',
  panic: null,
  allowed: null,
  bans: [],
  offences: null,
  reverseNames: { source: null, network: null },
  services: [],
  dnsBuckets: [],
  sessions: [],
}

let scratch: Scratch
let socket: string
let close: () => void
let requests: Request[]
let results: Partial<Results>
let output: string[]
let errors: string[]

beforeEach(async () => {
  scratch = new Scratch()
  socket = scratch.path('control.sock')
  requests = []
  results = {}
  output = []
  errors = []
  close = await openControlSocket({
    path: socket,
    group: 'root',
    log: new TestLog().log,
    handle: async (request) => {
      requests.push(request)
      return results[request.op]
    },
  })
  vi.spyOn(console, 'log').mockImplementation((text) => void output.push(text))
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => errors.push(String(text)) > 0)
})

afterEach(() => {
  vi.restoreAllMocks()
  close()
  scratch.close()
})

/** The output of one command, asked of the daemon of the test. */
async function sluice(...argv: string[]): Promise<string> {
  const program = await createProgram(argv, '0.1.0')
  await program.parseAsync([...argv, '--socket', socket], { from: 'user' })
  return output.join('\n')
}

/** What is said on standard error to a wrong command line. */
async function complaint(...argv: string[]): Promise<string> {
  const program = await createProgram(argv, '0.1.0')
  await expect(program.parseAsync(argv, { from: 'user' })).rejects.toThrow(CommanderError)
  return errors.join('')
}

describe('what is asked of the daemon', () => {
  test.each<[string[], Request, Partial<Results>]>([
    [
      ['bans', 'add', '192.0.2.0/24', '--for', '2h', '--service', 'ssh', '--reason', 'TEXT'],
      { op: 'bans add', prefix: '192.0.2.0/24', seconds: 7200, service: 'ssh', reason: 'TEXT' },
      { 'bans add': { ban: BAN, notes: [] } },
    ],
    [['bans', 'add', '::1'], { op: 'bans add', prefix: '::1' }, { 'bans add': { ban: BAN, notes: [] } }],
    [
      ['bans', 'remove', '::1', '--service', 'all'],
      { op: 'bans remove', prefix: '::1', service: 'all' },
      { 'bans remove': { lifted: [BAN], cleared: CLEARED } },
    ],
    [['bans', 'list'], { op: 'bans list' }, { 'bans list': [] }],
    [['allow', 'list'], { op: 'allow list' }, { 'allow list': [] }],
    [['panic'], { op: 'panic' }, { panic: PANIC }],
    [['panic', '--reason', 'locked out'], { op: 'panic', reason: 'locked out' }, { panic: PANIC }],
    [['resume'], { op: 'resume' }, { resume: { since: PANIC.since, notes: [] } }],
    [['explain', '::1'], { op: 'explain', address: '::1' }, { explain: EXPLAINED }],
    [['reload'], { op: 'reload' }, { reload: { file: '/x', pending: [], lifted: 0 } }],
    [['status'], { op: 'status' }, { status: STATUS }],
  ])('%j', async (argv, request, answers) => {
    results = answers
    await sluice(...argv)
    expect(requests).toEqual([request])
  })
})

describe('what people read', () => {
  test.each<[string, Partial<typeof CLEARED>, string]>([
    ['192.0.2.7', { failedLogins: 4, sources: 1 }, 'forgot 4 failed logins of 192.0.2.7'],
    [
      '192.0.2.7',
      { strikes: 1, offences: 2, failedLogins: 1 },
      'forgot 1 strike, 1 failed login and 2 offences of 192.0.2.7',
    ],
    [
      '192.0.0.0/16',
      { offences: 9, sources: 8, strikesStay: true },
      'forgot 9 offences of 8 sources in 192.0.0.0/16\n' +
        'strikes of sources in 192.0.0.0/16 stay until they are forgotten by themselves',
    ],
  ])('of a pardon of %s: %j', async (prefix, cleared, text) => {
    const nothing = { ...CLEARED, offences: 0, sources: 0 }
    results = { 'bans remove': { lifted: [], cleared: { ...nothing, ...cleared } } }
    expect(await sluice('bans', 'remove', prefix)).toBe(text)
  })

  test('bans in aligned columns, with relative times', async () => {
    results = {
      'bans list': [
        BAN,
        {
          ...BAN,
          prefix: '2001:db8::/64',
          scope: 'web',
          mode: 'shadow',
          offence: null,
          secondsLeft: null,
          proof: 'handshake',
        },
      ],
    }
    vi.spyOn(Date, 'now').mockReturnValue(Date.parse('2026-01-01T00:02:00Z'))
    expect(await sluice('bans', 'list')).toBe(
      [
        'SOURCE         PORTS         SINCE   ENDS       OFFENCE  PROOF      REASON',
        '203.0.113.1    ssh           2m ago  in 9m 58s        1  none       5 strikes within 10m',
        '2001:db8::/64  web (shadow)  2m ago  never            -  handshake  5 strikes within 10m',
      ].join('\n'),
    )
  })

  test('an empty list says so', async () => {
    results = { 'bans list': [], 'allow list': [] }
    expect(await sluice('bans', 'list')).toBe('nobody is banned')
    expect(await sluice('allow', 'list')).toContain('the allow list is empty')
  })

  test('what only counts from the next start on', async () => {
    results = { reload: { file: '/etc/sluice/sluice.yaml', pending: ['threads', 'queue.first'], lifted: 1 } }
    expect(await sluice('reload')).toBe(
      [
        'reloaded /etc/sluice/sluice.yaml',
        'takes effect at the next start: threads, queue.first',
        'lifted 1 ban that the new policy does not allow',
      ].join('\n'),
    )
  })

  test('an allowed source: how long that lasts, and what it has lifted', async () => {
    const entry = { prefix: '203.0.113.0/24', origin: 'runtime', reason: 'by hand' } as const
    results = { 'allow add': { entry, isRemembered: false, lifted: [BAN], notes: ['a note'] } }
    expect(await sluice('allow', 'add', '203.0.113.0/24')).toBe(
      [
        'allowed 203.0.113.0/24; this lasts until sluice stops; "allow" in the policy file lasts',
        'lifted the ban of 203.0.113.1 (ssh)',
        'a note',
      ].join('\n'),
    )
  })

  test('status fits into 80 columns and aligns its numbers', () => {
    const text = formatStatus(STATUS, Date.parse('2026-01-01T00:02:00Z'))
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
    expect(text).toContain('firewall  in place; 2 repairs, the last 2m ago')
    expect(text).toContain('reload    1m ago: reloaded /etc/sluice/sluice.yaml')
    expect(text).toContain(
      [
        'QUEUE  WAITING       RECEIVED  DROPPED  BYPASSED',
        ' 9713        3  1,234,567,890        0        12',
        ' 9714        0              7        0         0',
      ].join('\n'),
    )
  })

  test('--json is the answer itself, on one line', async () => {
    results = { status: STATUS }
    expect(JSON.parse(await sluice('status', '--json'))).toEqual(STATUS)
    expect(output).toHaveLength(1)
  })

  test('an empty table has its titles', () => {
    expect(formatTable([{ title: 'A' }, { title: 'B', align: 'right' }], [])).toBe('A  B')
  })
})

describe('apply', () => {
  const POLICY = 'services: {ssh: {ports: [22], limits: {source: {burst: 1, rate: 1/s}}}}\n'
  const APPLIED = { policyFile: '', pending: ['threads'], lifted: 1, secondsLeft: 300 }
  let policyFile: string
  let copy: string

  beforeEach(() => {
    policyFile = scratch.path('sluice.yaml')
    copy = scratch.path('new.yaml')
    writeFileSync(policyFile, '# old\n', { mode: 0o640 })
    writeFileSync(copy, POLICY)
    results = {
      status: { ...STATUS, policyFile },
      apply: { ...APPLIED, policyFile },
      trial: { policyFile, file: copy, text: POLICY, secondsLeft: 20 },
      confirm: { policyFile },
    }
  })

  test('with --confirm puts the text on trial, and leaves the policy file alone', async () => {
    const text = await sluice('apply', copy, '--confirm', '5m')
    expect(requests).toEqual([{ op: 'status' }, { op: 'apply', text: POLICY, file: copy, seconds: 300 }])
    expect(text).toContain('goes back in 5m unless "sluice confirm" follows')
    expect(text).toContain('takes effect at the next start: threads')
    expect(readFileSync(policyFile, 'utf8')).toBe('# old\n')
  })

  test.each([['apply'], ['confirm']])(
    '%s writes the policy file, keeps the old one, and then confirms',
    async (command) => {
      await sluice(command, ...(command === 'apply' ? [copy] : []))
      expect(requests.at(-1)).toEqual({ op: 'confirm' })
      expect(readFileSync(policyFile, 'utf8')).toBe(POLICY)
      expect(statSync(policyFile).mode & 0o777).toBe(0o640)
      expect(readFileSync(`${policyFile}.before`, 'utf8')).toBe('# old\n')
    },
  )

  test('a policy with errors is refused as check refuses it', async () => {
    writeFileSync(copy, 'services: {}\n')
    await expect(sluice('apply', copy, '--confirm', '5m')).rejects.toMatchObject({ status: EXIT.config })
    await expect(sluice('apply', scratch.path('none'))).rejects.toMatchObject({ status: EXIT.noInput })
    expect(requests).toEqual([])
  })

  test('the policy file itself is refused', async () => {
    writeFileSync(policyFile, POLICY)
    const attempt = sluice('apply', policyFile, '--confirm', '5m')
    await expect(attempt).rejects.toMatchObject({ status: EXIT.usage })
    expect(requests).toEqual([{ op: 'status' }])
  })

  test('a policy file that cannot be written is not confirmed', async () => {
    // The name of the copy is taken by a directory, which stops root too.
    mkdirSync(`${policyFile}.before`)
    await expect(sluice('confirm')).rejects.toMatchObject({ status: EXIT.cannotCreate })
    expect(requests).toEqual([{ op: 'trial' }])
    expect(readFileSync(policyFile, 'utf8')).toBe('# old\n')
  })
})

describe('a wrong command line', () => {
  test.each([
    [['statsu'], `sluice: unknown command 'statsu'\n(Did you mean status?)\n`],
    [['bans', 'lst'], `sluice: unknown command 'lst'\n(Did you mean list?)\n`],
    [['bans', 'add'], `sluice: missing required argument 'address'\n`],
    [['bans', 'add', '::1', '--fro', '2h'], `sluice: unknown option '--fro'\n(Did you mean --for?)\n`],
    [
      ['bans', 'add', '::1', '--for', '2hours'],
      "sluice: option '--for <time>' argument '2hours' is invalid. \"2hours\" is not allowed; " +
        'write a duration from 1s to 2147483s, such as 90s, 10m, 2h, 30d or 4w\n',
    ],
    [['status', 'more'], `sluice: too many arguments for 'status'. Expected 0 arguments but got 1.\n`],
  ])('%j', async (argv, message) => {
    expect(await complaint(...argv)).toContain(message)
    expect(errors.join('')).toMatch(/"sluice( \w+)* --help" says more\n$/)
  })

  test('nothing was asked of the daemon', async () => {
    await complaint('bans', 'add', '::1', '--for', '-1s')
    expect(requests).toEqual([])
  })
})

test('the help of sluice names every exit status', async () => {
  const program = await createProgram([], '0.1.0')
  let help = ''
  program.configureOutput({
    writeOut: (text) => {
      help += text
    },
  })
  await expect(program.parseAsync(['--help'], { from: 'user' })).rejects.toMatchObject({ exitCode: 0 })
  for (const status of Object.values(EXIT)) expect(help).toMatch(new RegExp(`^ +${status}  `, 'm'))
})
