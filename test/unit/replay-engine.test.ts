import { afterAll, describe, expect, test } from 'vitest'
import type { Policy, Service } from '../../src/config/policy.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { policy, service } from '../lib/policies.ts'
import { type ReplayTestOptions, replayFiles, type Sent, writeCapture } from '../lib/replay.ts'
import { Scratch } from '../lib/scratch.ts'

const SERVER = '192.0.2.1'
const ATTACKER = '203.0.113.66'
const NEIGHBOUR = '203.0.113.67'
const MINUTE = 60_000
/** One token a day: within a test, only the burst counts. */
const rare = (burst: number) => ({ burst, ratePerSecond: 1 / 86_400 })

const scratch = new Scratch()
afterAll(() => scratch.close())

/** Three attempts, then strikes; two of those are a ban for ten minutes. */
function ssh(changes: Partial<Service> = {}): Service {
  return service('ssh', 22, {
    limits: { source: rare(3), network: undefined, total: undefined },
    ban: { strikes: 2, withinMs: 10 * MINUTE },
    ...changes,
  })
}

/** `count` attempts, one a second. */
function attempts(count: number, fields: Partial<Sent> = {}): Sent[] {
  const startMs = fields.atMs ?? 0
  return Array.from({ length: count }, (_, i) => ({
    from: ATTACKER,
    port: 22,
    sourcePort: 40_000 + i,
    ...fields,
    atMs: startMs + i * 1000,
  }))
}

function replayed(packets: readonly Sent[], rules: Policy, options: ReplayTestOptions = { local: [SERVER] }) {
  return replayFiles([writeCapture(scratch.path('capture.pcap'), packets)], rules, options)
}

/** `verdict reason` of each attempt. */
async function verdicts(
  packets: readonly Sent[],
  rules: Policy,
  options?: ReplayTestOptions,
): Promise<string[]> {
  const { csv } = await replayed(packets, rules, options)
  return csv.map((line) => line.split(',').slice(5, 7).join(' '))
}

const ACCEPT = 'accept within-limit'
const REFUSE = 'drop source-limit'
const BANNED = 'drop banned'

describe('what the kernel does before the path', () => {
  test('a banned source is dropped before the path sees it, and draws no more tokens', async () => {
    const { summary } = await replayed(attempts(8), policy([ssh()]))
    expect(summary.policy.services[0]).toMatchObject({ attempts: 8, accepted: 3, refused: 2, banned: 3 })
    expect(summary.policy.banned).toMatchObject([
      { source: ATTACKER, scope: 'ssh', dropped: 3, afterSeconds: 4 },
    ])
  })

  test('the ban is over after its shortest time, without the random share', async () => {
    const late = (seconds: number) => attempts(1, { atMs: seconds * 1000, sourcePort: 9 })
    const packets = [...attempts(5), ...late(4 + 599), ...late(4 + 600)]
    expect((await verdicts(packets, policy([ssh()]))).slice(5)).toEqual([BANNED, REFUSE])
  })

  test('the allow list comes before everything: neither limited nor counted against a bucket', async () => {
    const rules = policy([ssh()], { allow: [parsePrefix('203.0.113.64/30')] })
    expect(new Set(await verdicts(attempts(50), rules))).toEqual(new Set(['accept allow-list']))
  })

  test('loopback is never limited', async () => {
    const local = { local: ['127.0.0.1'] }
    const answers = await verdicts(
      attempts(9, { from: '127.0.0.1', to: '127.0.0.1' }),
      policy([ssh()]),
      local,
    )
    expect(new Set(answers)).toEqual(new Set(['accept allow-list']))
  })

  test('a ban holds for the ports of its service, the third one for all', async () => {
    const smtp = service('smtp', 25)
    const rules = policy([ssh(), smtp], { ban: { ...policy([]).ban, firstMs: 10_000, factor: 1 } })
    const round = (atMs: number, count: number) => [
      ...attempts(count, { atMs }),
      ...attempts(1, { atMs: atMs + 5500, port: 25 }),
    ]
    const packets = [...round(0, 5), ...round(20_000, 2), ...round(40_000, 2)]
    const answers = await verdicts(packets, rules)
    expect(answers).toEqual([
      ACCEPT,
      ACCEPT,
      ACCEPT,
      REFUSE,
      REFUSE,
      ACCEPT,
      REFUSE,
      REFUSE,
      ACCEPT,
      REFUSE,
      REFUSE,
      BANNED,
    ])
  })

  test('packets of an open connection are not judged', async () => {
    const packets = [...attempts(2), ...attempts(20, { tcpFlags: 0x18 }), ...attempts(5, { tcpFlags: 0x04 })]
    const { csv, summary } = await replayed(packets, policy([ssh()]))
    expect(csv).toHaveLength(2)
    expect(summary.traffic).toMatchObject({ connections: 25, inbound: 2 })
  })

  test('a SYN that comes again after the SYN-ACK belongs to a connection, and one without an answer is judged', async () => {
    const syn: Sent = { atMs: 0, from: ATTACKER, port: 22, sourcePort: 5555, sequence: 77 }
    const answer: Sent = { atMs: 1, from: SERVER, to: ATTACKER, sourcePort: 22, port: 5555, tcpFlags: 0x12 }
    expect(await verdicts([syn, { ...syn, atMs: 1000 }], policy([ssh()]))).toEqual([ACCEPT, ACCEPT])
    expect(await verdicts([syn, answer, { ...syn, atMs: 1000 }], policy([ssh()]))).toEqual([ACCEPT])
  })

  test('UDP to a service port is judged whether or not it was answered, and never banned', async () => {
    const dns = ssh({ name: 'dns', ports: [{ protocol: 'udp', first: 53, last: 53 }] })
    const { summary } = await replayed(
      attempts(9, { port: 53, protocol: 'udp', sourcePort: 7 }),
      policy([dns]),
    )
    expect(summary.policy.services[0]).toMatchObject({ attempts: 9, accepted: 3, refused: 6 })
    expect(summary.policy.banned).toEqual([])
  })
})

describe('the report', () => {
  test('the source that was limited: first when, how often, and the burst that it would have needed', async () => {
    const { summary } = await replayed(attempts(9), policy([ssh({ ban: undefined })]))
    expect(summary.policy.limited).toMatchObject([
      {
        who: ATTACKER,
        limit: 'source',
        attempts: 9,
        accepted: 3,
        refused: 6,
        burst: 3,
        burstNeeded: 9,
        firstRefusal: { at: '2023-11-14T22:13:23.000000Z', afterSeconds: 3 },
        lastRefusal: { afterSeconds: 8 },
      },
    ])
    expect(summary.policy.close).toEqual([])
  })

  test('a repeat of a refused SYN is neither demand nor a strike', async () => {
    const repeats = attempts(6, { atMs: 5000, sourcePort: 9, sequence: 9 })
    const { summary } = await replayed([...attempts(3), ...repeats], policy([ssh()]))
    expect(summary.policy.limited).toMatchObject([{ refused: 1, retransmissions: 5, burstNeeded: 4 }])
    expect(summary.policy.banned).toEqual([])
  })

  test.each([
    { count: 7, rows: [] },
    { count: 8, rows: [{ who: ATTACKER, limit: 'source', burst: 10, burstNeeded: 8, refused: 0 }] },
    { count: 10, rows: [{ who: ATTACKER, limit: 'source', burst: 10, burstNeeded: 10, refused: 0 }] },
  ])('$count of 10 tokens used up: $rows.length close', async ({ count, rows }) => {
    const limits = { source: rare(10), network: rare(1000), total: undefined }
    const { summary } = await replayed(attempts(count), policy([ssh({ limits })]))
    expect(summary.policy.close).toMatchObject(rows)
    expect(summary.policy.limited).toEqual([])
  })

  test('of a network limit, the network is what was limited; its sources are listed as refused', async () => {
    const limits = { source: rare(3), network: rare(4), total: undefined }
    const packets = [...attempts(3), ...attempts(2, { from: NEIGHBOUR, atMs: 10_000 })]
    const { policy: report } = (await replayed(packets, policy([ssh({ limits })]))).summary
    expect(report.limited).toMatchObject([
      { who: '203.0.113.0/24', limit: 'network', refused: 1, burstNeeded: 5 },
    ])
    expect(report.sources).toMatchObject([{ source: NEIGHBOUR, refused: 1 }])
    expect(report.close).toMatchObject([{ who: ATTACKER, limit: 'source' }])
  })

  test('what the source limit refuses, or a ban drops, is no demand on the network', async () => {
    const limits = { source: rare(3), network: rare(10), total: rare(10) }
    const { summary } = await replayed(attempts(30), policy([ssh({ limits })]))
    expect(summary.policy.limited).toMatchObject([{ limit: 'source', attempts: 30, burstNeeded: 30 }])
    expect(summary.policy.close).toEqual([])
  })

  test('whoever the network limit refuses is not close to his own', async () => {
    const limits = { source: rare(10), network: rare(12), total: undefined }
    const neighbours = Array.from({ length: 12 }, (_, i) => ({ from: `203.0.113.${i}`, port: 22, atMs: i }))
    const packets = [...neighbours, ...attempts(20, { atMs: 100 })]
    const { policy: report } = (await replayed(packets, policy([ssh({ limits })]))).summary
    expect(report.limited).toMatchObject([{ limit: 'network', refused: 20, burstNeeded: 32 }])
    expect(report.close).toEqual([])
  })

  test('in shadow mode everything passes, and the report says what would not have', async () => {
    const { summary, csv } = await replayed(attempts(8), policy([ssh({ mode: 'shadow' })]))
    expect(csv.filter((line) => line.includes('shadow,source-limit'))).toHaveLength(5)
    expect(summary.policy.banned).toMatchObject([{ mode: 'shadow', dropped: 0 }])
  })

  test('an IPv6 source is its /64', async () => {
    const packets = Array.from({ length: 5 }, (_, i) => ({
      atMs: i,
      from: `2001:db8:bad::${i + 1}`,
      port: 22,
    }))
    const { summary } = await replayed(packets, policy([ssh()]), { local: ['2001:db8::1'] })
    expect(summary.policy.banned).toMatchObject([{ source: '2001:db8:bad::/64' }])
  })
})

describe('in bounded memory', () => {
  const crowd = Array.from({ length: 40 }, (_, i) => ({
    atMs: 9000 + i,
    from: `198.51.100.${i + 1}`,
    port: 22,
  }))

  test('whoever was limited is remembered through a flood of others, and those forgotten are counted', async () => {
    const { summary } = await replayed(
      [...attempts(5), ...crowd, ...attempts(1, { atMs: 10_000 })],
      policy([ssh()]),
      {
        local: [SERVER],
        most: 8,
      },
    )
    expect(summary.policy.limited).toMatchObject([{ who: ATTACKER, attempts: 6, refused: 2, banned: 1 }])
    // Of the crowd, 8 must fit, and 30 do.
    expect(summary.policy.leftOut).toEqual({ sources: 10, networks: 0, bans: 0, sessions: 0 })
    expect(summary.policy.services[0]).toMatchObject({ attempts: 46 })
  })

  test('what the path itself forgets in a full table is the same every time', async () => {
    const round = Array.from({ length: 3000 }, (_, i) => ({
      atMs: i,
      from: `10.0.${i >> 8}.${i & 255}`,
      port: 22,
    }))
    const again = round.map((each) => ({ ...each, atMs: each.atMs + 5000, sourcePort: 9 }))
    const limits = { source: rare(1), network: undefined, total: undefined }
    const rules = policy([ssh({ limits, ban: undefined })], { sources: 1024 })
    const first = await replayed([...round, ...again], rules)
    expect(first.summary.policy.services[0]!.refused).toBeGreaterThan(100)
    expect(first.summary.policy.services[0]!.refused).toBeLessThan(2000)
    expect((await replayed([...round, ...again], rules)).csv).toEqual(first.csv)
  })

  test('bans that do not fit are counted', async () => {
    const offenders = crowd.slice(0, 5).flatMap(({ from }) => attempts(5, { from }))
    const { summary } = await replayed(offenders, policy([ssh()]), { local: [SERVER], most: 3 })
    expect(summary.policy.banned).toHaveLength(3)
    expect(summary.policy.leftOut.bans).toBe(2)
  })
})

describe('two policies', () => {
  const strict = policy([ssh()])
  const lax = policy([ssh({ limits: { source: rare(100), network: undefined, total: undefined } })])

  test('the stricter one limits and bans whom the other let pass, and the other way round', async () => {
    const { summary } = await replayed(attempts(8), lax, { local: [SERVER], against: strict })
    expect(summary.against!.changes).toMatchObject({
      newlyLimited: [{ source: ATTACKER, service: 'ssh', refused: 2, first: { afterSeconds: 3 } }],
      noLongerLimited: [],
      newlyBanned: [{ source: ATTACKER, afterSeconds: 4 }],
      noLongerBanned: [],
    })
    const { summary: reverse } = await replayed(attempts(8), strict, { local: [SERVER], against: lax })
    expect(reverse.against!.changes).toMatchObject({
      newlyLimited: [],
      noLongerLimited: [{ source: ATTACKER }],
      newlyBanned: [],
      noLongerBanned: [{ source: ATTACKER }],
    })
  })

  test('a policy against itself changes nothing, and each is judged as it is alone', async () => {
    const { summary } = await replayed(attempts(8), strict, { local: [SERVER], against: strict })
    const { changes, file: _, ...other } = summary.against!
    const { file: __, ...first } = summary.policy
    expect(other).toEqual(first)
    expect(Object.values(changes).flat()).toEqual([])
  })

  test('a service that only the other policy has is judged there', async () => {
    const smtp = ssh({ name: 'smtp', ports: [{ protocol: 'tcp', first: 25, last: 25 }] })
    const { summary } = await replayed(attempts(8, { port: 25 }), strict, { against: policy([smtp]) })
    expect(summary.policy.services[0]!.attempts).toBe(0)
    expect(summary.against!.services[0]!.attempts).toBe(8)
  })
})

describe('several files', () => {
  const at = (name: string, packets: readonly Sent[], start?: number) =>
    writeCapture(scratch.path(name), packets, start)

  test('are one timeline: buckets, strikes and bans go on', async () => {
    const files = [at('1.pcap', attempts(4), 1000), at('2.pcap', attempts(4), 1060)]
    const { summary } = await replayFiles(files, policy([ssh()]), { local: [SERVER] })
    expect(summary.policy.services[0]).toMatchObject({ accepted: 3, refused: 2, banned: 3 })
    expect(summary).toMatchObject({
      seconds: 63,
      notes: ['1.pcap', '2.pcap'].map(() => expect.stringContaining('1970')),
    })
  })

  test('in the wrong order go on as if no time had passed, and that is said', async () => {
    const files = [at('1.pcap', attempts(4), 1_700_000_000), at('2.pcap', attempts(4), 1_600_000_000)]
    const { summary } = await replayFiles(files, policy([ssh()]), { local: [SERVER] })
    expect(summary.policy.services[0]).toMatchObject({ accepted: 3, refused: 2, banned: 3 })
    expect(summary.seconds).toBe(6)
    expect(summary.notes.join()).toMatch(/time goes back by more than 10 s once/)
  })
})
