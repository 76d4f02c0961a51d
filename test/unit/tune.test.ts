import { readFileSync, writeFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createProgram } from '../../src/cli/program.ts'
import { formatTuning } from '../../src/cli/tune-text.ts'
import { parsePolicy } from '../../src/config/load.ts'
import type { Policy } from '../../src/config/policy.ts'
import { EXIT } from '../../src/failure.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { Engine } from '../../src/replay/engine.ts'
import { Outcome } from '../../src/replay/outcome.ts'
import { replay } from '../../src/replay/replay.ts'
import { reportOf, type ServiceReport, type TuneReport } from '../../src/tune/report.ts'
import { type TuneOptions, tune } from '../../src/tune/tune.ts'
import { type Timed, writeAttempts } from '../lib/attempts.ts'
import { policy, service } from '../lib/policies.ts'
import { Scratch } from '../lib/scratch.ts'
import { hasSharedCaptures, SHARED_CAPTURES } from '../lib/shared-captures.ts'

const SHIPPED = 'rules/sluice.yaml'
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const SERVER = [parsePrefix('192.0.2.1'), parsePrefix('2001:db8::1')]
const SSH = service('ssh', 22, { ban: { strikes: 3, withinMs: 10 * MINUTE } })

let scratch: Scratch
beforeEach(() => {
  scratch = new Scratch()
})
afterEach(() => {
  vi.restoreAllMocks()
  scratch.close()
})

function capture(name: string, attempts: readonly Timed[]): string {
  const path = scratch.path(name)
  writeAttempts(path, attempts)
  return path
}

/** `count` attempts, one every `everyMs` from `startMs` on. */
function steady(from: string, count: number, everyMs: number, startMs = 0): Timed[] {
  return Array.from({ length: count }, (_, i) => ({ from, port: 22, atMs: startMs + i * everyMs }))
}

async function tuned(options: Partial<TuneOptions> & { honest: readonly string[] }): Promise<TuneReport> {
  const share = options.share ?? 0.999
  const tuning = await tune({ attacks: [], policy: policy([SSH]), share, local: SERVER, ...options })
  return reportOf(tuning, share)
}

function only({ services }: TuneReport, name = 'ssh'): ServiceReport {
  return services.find((each) => each.service === name)!
}

function proposed(report: TuneReport, name = 'ssh') {
  return only(report, name).limits.map(
    ({ proposed, basis }) => `${proposed?.burst} ${proposed?.rate} ${basis}`,
  )
}

describe('what is proposed', () => {
  test('one source with twenty connections at once: half as much again, back after ten minutes', async () => {
    const honest = capture('honest.pcap', [
      ...steady('198.51.100.7', 20, 0),
      ...steady('198.51.100.7', 1, 0, HOUR),
    ])
    const report = await tuned({ honest: [honest] })
    expect(proposed(report)).toEqual([
      '40 4/min measured',
      'undefined undefined none',
      'undefined undefined none',
    ])
    expect(only(report)).toMatchObject({ sources: 1, wanted: 1, letThrough: 1, banned: 0 })
  })

  test('the outlier beyond the share is limited and banned, and does not widen what all share', async () => {
    const sources = Array.from({ length: 30 }, (_, i) => `198.51.${Math.floor(i / 6)}.${i}`)
    const honest = sources.flatMap((from, i) => steady(from, 3, 10 * MINUTE, i * MINUTE))
    const outlier = steady('203.0.113.66', 2000, 1800)
    const report = await tuned({ honest: [capture('h.pcap', [...honest, ...outlier])], share: 0.95 })
    expect(only(report)).toMatchObject({ sources: 31, wanted: 30, letThrough: 30, banned: 1 })
    expect(proposed(report)).toEqual(['5 1/min measured', '15 3/min measured', '200 10/s measured'])

    const all = await tuned({ honest: [capture('h.pcap', [...honest, ...outlier])] })
    expect(only(all)).toMatchObject({ wanted: 31, letThrough: 31, banned: 0 })
    expect(all.services[0]!.notes).toContain('99.9 % of 31 sources is all of them')
  })

  test('a retransmitted SYN whose answer was seen is no second attempt', async () => {
    const syn = { from: '198.51.100.7', sourcePort: 40_000, port: 22, sequence: 7 }
    const answer = { from: '192.0.2.1', to: '198.51.100.7', sourcePort: 22, port: 40_000, tcpFlags: 0x12 }
    const repeats = Array.from({ length: 20 }, (_, i) => ({ ...syn, atMs: 2 + i }))
    const report = await tuned({
      honest: [capture('h.pcap', [{ ...syn, atMs: 0 }, { ...answer, atMs: 1 }, ...repeats])],
    })
    expect(only(report).curve.at(-1)).toMatchObject({ burst: 5 })
  })

  test('IPv6 sources are counted by /64', async () => {
    const hosts = Array.from({ length: 20 }, (_, i) => `2001:db8:1:2::${(i + 1).toString(16)}`)
    const attempts = hosts.flatMap((from) => steady(from, 1, 0))
    const report = await tuned({ honest: [capture('h.pcap', attempts)] })
    expect(only(report)).toMatchObject({ sources: 1 })
  })

  test('the limits of the policy stay where nothing is known, with room for the new source limit', async () => {
    const limits = {
      source: { burst: 20, ratePerSecond: 0.1 },
      network: { burst: 60, ratePerSecond: 1 },
      total: { burst: 1000, ratePerSecond: 10 },
    }
    const services = [service('ssh', 22, { limits }), service('smtp', 25, { limits })]
    const report = await tuned({
      honest: [capture('h.pcap', steady('198.51.100.7', 50, 0))],
      policy: policy(services),
    })
    expect(proposed(report)).toEqual(['80 2/s measured', '300 10/s raised', '1000 30/s raised'])
    expect(proposed(report, 'smtp')).toEqual(['20 6/min kept', '60 1/s kept', '1000 10/s kept'])
    expect(only(report, 'smtp').notes).toEqual(['no honest traffic: nothing is proposed, its limits stay'])
    expect(parsePolicy(report.yaml!, 'snippet').services.map(({ name }) => name)).toEqual(['ssh'])
  })

  test('the allow list is not counted among honest sources', async () => {
    const attempts = [...steady('198.51.100.7', 1, 0), ...steady('198.51.100.8', 500, 0)]
    const report = await tuned({
      honest: [capture('h.pcap', attempts)],
      policy: policy([SSH], { allow: [parsePrefix('198.51.100.8')] }),
    })
    expect(only(report)).toMatchObject({ sources: 1 })
    expect(report.honest.notes).toContain('500 attempts from the allow list, which no limit holds up')
  })

  test('in shadow mode, what the limits would do is told, and the mode is kept', async () => {
    const report = await tuned({
      honest: [capture('h.pcap', steady('198.51.100.7', 1, 0))],
      attacks: [capture('a.pcap', steady('203.0.113.66', 60, 2000))],
      policy: policy([{ ...SSH, mode: 'shadow' }], { mode: 'shadow' }),
    })
    expect(report.attacks[0]!.sources[0]!.bannedAfterSeconds).toBeGreaterThan(0)
    expect(parsePolicy(report.yaml!, 'snippet').services[0]).toMatchObject({ mode: 'shadow' })
  })

  test('a service is still what it is to DNS, also where its ports do not say so', async () => {
    const ports = (['udp', 'tcp'] as const).map((protocol) => ({ protocol, first: 5353, last: 5353 }))
    const honest = steady('198.51.100.7', 1, 0).map((each) => ({ ...each, port: 5353 }))
    for (const [dns, line] of [
      [true, '    dns: true'],
      [false, undefined],
    ] as const) {
      const report = await tuned({
        honest: [capture('h.pcap', honest)],
        policy: policy([service('names', 5353, { ports, dns })]),
      })
      expect(report.yaml!.split('\n').find((each) => each.includes('dns:'))).toBe(line)
      expect(parsePolicy(report.yaml!, 'snippet').services[0]).toMatchObject({ dns })
    }
  })

  test('twice the same, to the byte', async () => {
    const options = {
      honest: ['pcaps/dns-honest-clients.pcap.gz'],
      attacks: ['pcaps/dns-ptr-flood-1-source.pcap.gz'],
      policy: parsePolicy('services: {dns: {ports: [53/udp], limits: {source: {burst: 9, rate: 1/s}}}}', 'p'),
      local: undefined,
    }
    const texts = [await tuned(options), await tuned(options)].map((each) => JSON.stringify(each))
    expect(texts[0]).toBe(texts[1])
  })
})

describe('what an attack still gets', () => {
  test('30 a minute: the burst, what grows, and nothing from the ban on', async () => {
    const report = await tuned({
      honest: [capture('h.pcap', [...steady('198.51.100.7', 1, 0), ...steady('198.51.100.7', 1, 0, HOUR)])],
      attacks: [capture('a.pcap', steady('203.0.113.66', 120, 2000))],
    })
    expect(proposed(report)[0]).toBe('5 1/min measured')
    const row = {
      service: 'ssh',
      sources: 1,
      attempts: 120,
      accepted: 5,
      attemptsAMinute: 30.3,
      acceptedAMinute: 1.3,
      refusedAfterSeconds: 10,
      bannedAfterSeconds: 14,
    }
    expect(report.attacks[0]!.sources).toEqual([{ source: '203.0.113.66', ...row }])
    expect(report.attacks[0]!.services).toEqual([{ source: '*', ...row }])
  })

  test('each capture is an attack of its own: a ban does not outlast it', async () => {
    const attack = capture('a.pcap', steady('203.0.113.66', 60, 2000))
    const report = await tuned({
      honest: [capture('h.pcap', steady('198.51.100.7', 1, 0))],
      attacks: [attack, attack],
    })
    expect(report.attacks[1]!.sources).toEqual(report.attacks[0]!.sources)
  })
})

/** Honest sources that a policy lets through whole, as the replay of a capture sees it. */
async function letThrough(file: string, under: Policy): Promise<number> {
  const outcome = new Outcome(under)
  await replay({ files: [file], engines: [new Engine(under, [outcome])], local: SERVER })
  return [...outcome.sources].filter(({ attempts, accepted }) => attempts === accepted).length
}

test('the YAML lets the wanted share of honest sources through, whatever they do and whatever held before', async () => {
  const tight = { burst: 6, ratePerSecond: 1 / 60 }
  const sources = (networks: number, minutes: number) =>
    fc.array(
      fc.record({
        network: fc.nat(networks - 1),
        times: fc.array(fc.tuple(fc.nat(minutes - 1), fc.nat(30_000)), { minLength: 1, maxLength: 25 }),
      }),
      { minLength: 1, maxLength: 40 },
    )
  const cases = fc.record({
    // Apart, and all at once in one network.
    sources: fc.oneof(sources(8, 20), sources(1, 1)),
    share: fc.constantFrom(0.5, 0.8, 0.9, 0.999, 1),
    limits: fc.constantFrom(SSH.limits, { source: tight, network: tight, total: tight }),
  })
  await fc.assert(
    fc.asyncProperty(cases, async ({ sources, share, limits }) => {
      const attempts = sources.flatMap(({ network, times }, i) =>
        times.map(([minute, ms]) => ({
          from: `198.51.${network}.${i}`,
          port: 22,
          atMs: minute * MINUTE + ms,
        })),
      )
      const honest = capture('honest.pcap', attempts)
      const report = await tuned({ honest: [honest], share, policy: policy([{ ...SSH, limits }]) })
      const wanted = Math.ceil(sources.length * share - 1e-9)
      expect(only(report)).toMatchObject({ sources: sources.length, wanted })
      const passed = await letThrough(honest, parsePolicy(`sources: 1024\n${report.yaml}`, 'snippet'))
      expect(passed).toBe(only(report).letThrough)
      expect(passed).toBeGreaterThanOrEqual(wanted)
    }),
    { numRuns: 25, endOnFailure: true },
  )
})

describe.runIf(hasSharedCaptures('nothing is proposed from the real ones'))('the shared captures', () => {
  const cases: {
    service: string
    honest: string[]
    attacks: string[]
    source: string
    /** A second after the last packet of the session with the fifth failed login. */
    bans?: number[]
  }[] = [
    {
      service: 'ssh',
      honest: ['ssh-benign-single.pcap', 'ssh-benign-icmp-mix.pcap', 'ssh-benign-lo0-v6.pcap'],
      attacks: [
        'ssh-attack-hydra-t1.pcapng',
        'ssh-attack-hydra-t8.pcapng',
        'ssh-attack-ncrack-sneaky.pcapng',
      ],
      source: '5 1/min measured',
      bans: [13.476, 11.654, 34.775],
    },
    { service: 'pop3', honest: ['mail-benign-pop3-poll.pcap'], attacks: [], source: '15 8/min measured' },
    {
      service: 'dns',
      honest: ['dns-benign-smbwin.pcap'],
      attacks: ['dns-attack-burst-vlan.pcap'],
      source: '60 40/min measured',
    },
    {
      service: 'dns',
      honest: ['dns-ptr-sip-srv.pcap'],
      attacks: ['drv-ptr-flood-1src.pcap'],
      source: '100 20/min measured',
    },
  ]

  for (const { service, honest, attacks, source, bans } of cases) {
    test(`${honest[0]}: plausible numbers, everybody let through, no attack unhindered`, async () => {
      const shipped = readFileSync(SHIPPED, 'utf8').replace(/(pop3:\n\s+enabled:) false/, '$1 true')
      const report = await tuned({
        honest: honest.map((file) => SHARED_CAPTURES + file),
        attacks: attacks.map((file) => SHARED_CAPTURES + file),
        policy: parsePolicy(shipped, SHIPPED),
        local: undefined,
      })
      const { sources, letThrough, banned } = only(report, service)
      expect(proposed(report, service)[0]).toBe(source)
      expect({ letThrough, banned }).toEqual({ letThrough: sources, banned: 0 })
      const snippet = parsePolicy(report.yaml!, 'snippet').services
      expect(snippet).toHaveLength(1)
      const before = parsePolicy(shipped, SHIPPED).services.find(({ name }) => name === service)!
      const { ban, failures, outcome } = before
      expect(snippet[0]).toMatchObject({ ban, failures, outcome })
      for (const { services } of report.attacks) {
        expect(services[0]!.accepted).toBeLessThan(services[0]!.attempts)
      }
      const bannedAfter = report.attacks.map(({ services }) => services[0]!.bannedAfterSeconds)
      if (bans !== undefined) expect(bannedAfter.map((seconds) => Number(seconds?.toFixed(3)))).toEqual(bans)
    })
  }
})

describe('on the command line', () => {
  let output: string[]
  let errors: string
  const CONFIG = ['--config', SHIPPED]

  beforeEach(() => {
    output = []
    errors = ''
    vi.spyOn(console, 'log').mockImplementation((text) => void output.push(text))
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      errors += text
      return true
    })
  })

  async function sluice(...argv: string[]): Promise<string> {
    const program = await createProgram(['tune', ...argv], '0.1.0')
    await program.parseAsync(['tune', ...argv], { from: 'user' })
    return output.join('\n')
  }

  const honest = () =>
    capture('honest.pcap', [...steady('198.51.100.7', 20, 0), ...steady('198.51.100.8', 2, HOUR)])
  const attack = () =>
    capture('attack.pcap', [...steady('203.0.113.66', 90, 2000), ...steady('203.0.113.67', 1, 0)])

  test('text: the proposal, the curve, the attack and the YAML, within 100 columns', async () => {
    const text = await sluice(...CONFIG, '--honest', honest(), '--attack', attack())
    const long = text.split('\n').filter((line) => line.length > 100 && !line.includes(scratch.directory))
    expect(long).toEqual([])
    expect(text).toContain('ssh      source   6, then 4/min    30, then 3/min    measured')
    expect(text).toContain('no honest traffic, limits as they are: smtp, submission, dns')
    expect(text).toMatch(/^=> {2}3\/min {5}30 {6}210 {2}#{32} {2}proposed$/m)
    // Its SYNs never become connections: limited, not banned.
    expect(text).toMatch(/^ssh {6}all 2 +91 +30\.\d +\d+ +\d+\.\d +\+\S.*/m)
    expect(text).toContain(
      '      source: {burst: 30, rate: 3/min}  # at least 1.5 times what 2 honest sources needed',
    )
  })

  test('--json is the report, --yaml a policy file', async () => {
    const file = scratch.path('tuned.yaml')
    const report = JSON.parse(await sluice(...CONFIG, '--json', '--yaml', file, '--honest', honest()))
    expect(output).toHaveLength(1)
    expect(formatTuning(report, file)).toContain(`The proposed services are in ${file}.`)
    expect(readFileSync(file, 'utf8')).toBe(report.yaml)
    await (await createProgram(['check', file], '0.1.0')).parseAsync(['check', file], { from: 'user' })
    expect(output[1]).toContain('valid: 1 service (ssh)')
  })

  test.each([
    [
      ['--share', '120%'],
      /'--share <percent>' argument '120%' is invalid. write a share .* from 50% to 100%/,
    ],
    [['--share', '0.999'], /from 50% to 100%/],
    [['--share', 'most'], /from 50% to 100%/],
    [['--local', 'here'], /"here" is no IPv4 or IPv6 address/],
  ])('%j is refused', async (argv, message) => {
    await expect(sluice('--honest', honest(), ...argv)).rejects.toThrow(CommanderError)
    expect(errors).toMatch(message)
  })

  test('captures must be said to be honest or attacks', async () => {
    await expect(sluice('--attack', attack())).rejects.toThrow(CommanderError)
    expect(errors).toContain("required option '--honest <files...>' not specified")
    await expect(sluice('some.pcap', '--honest', honest())).rejects.toMatchObject({
      status: EXIT.usage,
      message: 'what does some.pcap show?',
    })
  })

  const failures: [name: string, argv: () => string[], status: number, message: RegExp][] = [
    ['no such file', () => ['--honest', scratch.path('none.pcap')], EXIT.noInput, /none\.pcap/],
    [
      'no such attack',
      () => ['--honest', honest(), '--attack', scratch.path('none.pcap')],
      EXIT.noInput,
      /none\.pcap/,
    ],
    ['standard input', () => ['--honest', '-'], EXIT.usage, /more than once/],
    [
      'nothing usable',
      () => ['--honest', capture('web.pcap', [{ from: '198.51.100.7', port: 8080, atMs: 0 }])],
      EXIT.dataError,
      /no honest attempt at ssh, smtp, submission, dns .* 1 at ports of no enabled service/,
    ],
    [
      'another host',
      () => ['--honest', honest(), '--local', '192.0.2.99'],
      EXIT.dataError,
      /22 at other hosts/,
    ],
    [
      'two on standard output',
      () => ['--honest', honest(), '--json', '--yaml', '-'],
      EXIT.usage,
      /both want standard output/,
    ],
    [
      'a capture as output',
      () => ['--honest', honest(), '--yaml', `${scratch.directory}/./honest.pcap`],
      EXIT.usage,
      /overwrite/,
    ],
    [
      'no place for the YAML',
      () => ['--honest', honest(), '--yaml', scratch.path('no/such/dir.yaml')],
      EXIT.cannotCreate,
      /dir\.yaml/,
    ],
  ]
  for (const [name, argv, status, message] of failures) {
    test(`fails with one message: ${name}`, async () => {
      await expect(sluice(...CONFIG, ...argv())).rejects.toMatchObject({
        status,
        message: expect.stringMatching(message),
      })
      expect(output).toEqual([])
    })
  }

  test('a broken capture is used as far as it goes, then named', async () => {
    const broken = scratch.path('broken.pcap')
    writeFileSync(broken, readFileSync(honest()).subarray(0, -10))
    await expect(sluice(...CONFIG, '--honest', broken)).rejects.toMatchObject({
      status: EXIT.dataError,
      message: expect.stringContaining('broken at byte'),
    })
    expect(output.join('\n')).toContain('ssh: 2 honest sources')
  })
})
