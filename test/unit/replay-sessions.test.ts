import { afterAll, describe, expect, test } from 'vitest'
import { formatReplay } from '../../src/cli/replay-table.ts'
import type { OutcomeModel, Policy } from '../../src/config/policy.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { policy, service } from '../lib/policies.ts'
import { type ReplayTestOptions, replayFiles, type Sent, writeCapture } from '../lib/replay.ts'
import { Scratch } from '../lib/scratch.ts'

const SERVER = '192.0.2.1'
const ATTACKER = '203.0.113.66'
const USER = '198.51.100.7'
const FIN = 0x11
const ACK = 0x10
const SYN_ACK = 0x12

const MODEL: OutcomeModel = {
  kind: 'ssh',
  leastBytes: 1000,
  failedBytes: 2000,
  largeFromBytes: 2800,
  largeLeastBytes: 2000,
  largeFailedBytes: 2900,
  largeFailedPackets: 20,
  succeededBytes: 6000,
  graceMs: 150_000,
  openingBytes: undefined,
}

const scratch = new Scratch()
afterAll(() => scratch.close())

/** `burst` attempts of each source; the next one is a ban. */
function rules(burst: number): Policy {
  const limits = { source: { burst, ratePerSecond: 1 / 86_400 }, network: undefined, total: undefined }
  return policy([service('ssh', 22, { limits, ban: { strikes: 1, withinMs: 60_000 }, outcome: MODEL })])
}

interface Connection {
  readonly from: string
  readonly atMs: number
  /** What the server sends: its packets are of 1,000 bytes at most. */
  readonly bytes: number
  readonly lastsMs?: number
}

/** A whole connection. Its headers have no timestamps: 12 bytes less in each packet. */
function connection({ from, atMs, bytes, lastsMs = 500 }: Connection, i: number): Sent[] {
  const sourcePort = 40_000 + i
  const there = (at: number, tcpFlags: number): Sent => ({
    atMs: at,
    from,
    to: SERVER,
    sourcePort,
    port: 22,
    tcpFlags,
  })
  const back = (at: number, tcpFlags: number, length = 0): Sent => ({
    atMs: at,
    from: SERVER,
    to: from,
    sourcePort: 22,
    port: sourcePort,
    tcpFlags,
    payload: new Uint8Array(length),
  })
  const parts = Array.from({ length: Math.ceil(bytes / 1000) }, (_, part) =>
    Math.min(1000, bytes - part * 1000),
  )
  const endMs = atMs + lastsMs
  return [
    there(atMs, 0x02),
    back(atMs + 1, SYN_ACK),
    there(atMs + 2, ACK),
    ...parts.map((length, part) => back(atMs + 3 + part, ACK, length)),
    there(endMs - 2, FIN),
    back(endMs - 1, FIN),
    there(endMs, ACK),
  ]
}

async function replayed(
  connections: readonly Connection[],
  under = rules(10),
  options: ReplayTestOptions = { local: [SERVER] },
) {
  const packets = connections.flatMap(connection).sort((a, b) => a.atMs - b.atMs)
  const { summary } = await replayFiles([writeCapture(scratch.path('capture.pcap'), packets)], under, options)
  return summary
}

const FAILED = { from: ATTACKER, bytes: 1500 }
const SUCCEEDED = { from: USER, bytes: 9000 }

describe('sessions in a capture', () => {
  test('are judged, and counted by source and by service', async () => {
    const { policy: found } = await replayed([
      { ...FAILED, atMs: 0 },
      { ...FAILED, atMs: 5000 },
      { ...SUCCEEDED, atMs: 2000 },
      { from: USER, bytes: 4000, atMs: 7000 },
      { from: USER, bytes: 0, atMs: 9000 },
    ])
    expect(found.services[0]!.sessions).toEqual({ failed: 2, succeeded: 1, unclear: 2 })
    expect(found.sessions).toEqual([
      expect.objectContaining({
        source: ATTACKER,
        service: 'ssh',
        failed: 2,
        tries: 2,
        succeeded: 0,
        unclear: 0,
      }),
      expect.objectContaining({ source: USER, failed: 0, tries: 0, succeeded: 1, unclear: 2 }),
    ])
    const [first] = found.sessions
    expect(first).toMatchObject({ first: { afterSeconds: 0.5 }, last: { afterSeconds: 5.5 } })
  })

  test('are the same when the local addresses are inferred from their beginning', async () => {
    const connections = Array.from({ length: 30 }, (_, i) => ({
      ...(i % 3 ? FAILED : SUCCEEDED),
      atMs: i * 1000,
    }))
    const told = await replayed(connections, rules(100))
    const inferred = await replayed(connections, rules(100), {})
    expect(inferred.local.prefixes).toEqual([SERVER])
    expect(inferred.policy.sessions).toEqual(told.policy.sessions)
    expect(told.policy.services[0]!.sessions).toEqual({ failed: 20, succeeded: 10, unclear: 0 })
  })

  test('that the policy would have refused are none, and those that a ban would have cut off', async () => {
    const { policy: found } = await replayed(
      [
        { ...FAILED, atMs: 0 },
        { ...FAILED, atMs: 1000, lastsMs: 5000 },
        { ...FAILED, atMs: 2000 },
        { ...FAILED, atMs: 3000 },
      ],
      rules(2),
    )
    expect(found.services[0]!.sessions).toEqual({ failed: 1, succeeded: 0, unclear: 0 })
  })

  test('are counted for each of two policies by itself', async () => {
    const connections = Array.from({ length: 6 }, (_, i) => ({ ...FAILED, atMs: i * 1000 }))
    const { policy: strict, against } = await replayed(connections, rules(3), {
      local: [SERVER],
      against: rules(9),
    })
    expect([strict, against!].map(({ services }) => services[0]!.sessions.failed)).toEqual([2, 6])
  })

  test('are shown in the table', async () => {
    const text = formatReplay(
      await replayed([
        { ...FAILED, atMs: 0 },
        { ...SUCCEEDED, atMs: 10 },
      ]),
    )
    expect(text).toContain('Sessions: 1 failed, 1 succeeded, 0 unclear')
    expect(text).toMatch(/203\.0\.113\.66 +ssh +1 +1 +0 +0 /)
  })

  test('are not asked for where the policy does not', async () => {
    const { services } = rules(10)
    const silent = policy([{ ...services[0]!, outcome: undefined }])
    const { policy: found } = await replayed([{ ...FAILED, atMs: 0 }], silent)
    expect([found.sessions, found.services[0]!.sessions.failed]).toEqual([[], 0])
  })
})

describe('evidence in a capture', () => {
  const loose = { burst: 1000, ratePerSecond: 100 }
  const failures = { tries: 5, forgetMs: 1_800_000 }
  const guesses = (from: string, count: number, everyMs: number, startMs = 0) =>
    Array.from({ length: count }, (_, i) => ({ from, bytes: 1500, atMs: startMs + i * everyMs }))
  const limits = { source: loose, network: undefined, total: undefined, known: undefined }
  const judged = service('ssh', 22, { limits, failures, outcome: MODEL })

  test('bans who guesses slowly, below every limit', async () => {
    const { policy: found } = await replayed(guesses(ATTACKER, 20, 60_000), policy([judged]))
    expect(found.limited).toEqual([])
    expect(found.banned[0]).toMatchObject({ source: ATTACKER, service: 'ssh', mode: 'enforce' })
    expect(found.banned[0]!.afterSeconds).toBeLessThanOrEqual(5 * 60)
    expect(found.services[0]!.banned).toBeGreaterThan(0)
  })

  test('bans nobody in shadow mode, and says whom it would have', async () => {
    const shadow = policy([{ ...judged, mode: 'shadow' }])
    const { policy: found } = await replayed(guesses(ATTACKER, 20, 60_000), shadow)
    expect(found.banned[0]).toMatchObject({ source: ATTACKER, mode: 'shadow' })
    expect(found.services[0]!.banned).toBe(0)
  })

  test('spares who is on the allow list', async () => {
    const allowing = policy([judged], { allow: [parsePrefix(ATTACKER)] })
    const { policy: found } = await replayed(guesses(ATTACKER, 20, 60_000), allowing)
    expect(found.banned).toEqual([])
  })

  test('forgives failures when a login succeeds', async () => {
    const user = Array.from({ length: 8 }, (_, i) => [
      ...guesses(USER, 3, 2000, i * 60_000),
      { from: USER, bytes: 9000, atMs: i * 60_000 + 10_000 },
    ]).flat()
    const { policy: found } = await replayed(user, policy([judged]))
    expect(found.banned).toEqual([])
  })

  test('bans a second after the failure that earned it, as the daemon does, whenever the next packet comes', async () => {
    const found = async (restMs: number) => {
      // The fifth is over at 40.5 s; the ban is one of 10 minutes.
      const tries = guesses(ATTACKER, 5, 10_000)
      const later = [{ ...FAILED, atMs: 40_500 + restMs }]
      return (await replayed([...tries, ...later], policy([judged]))).policy.services[0]!.banned
    }
    expect([await found(990), await found(1010)]).toEqual([0, 1])
    expect([await found(600_990), await found(601_010)]).toEqual([1, 0])
  })

  test('counts a login while its session goes on: it takes back failures, and makes known good', async () => {
    const idle = connection({ ...SUCCEEDED, atMs: 0, lastsMs: 400_000 }, 999)
    const user = guesses(USER, 8, 1000, 5000).flatMap(connection)
    const tight = { burst: 2, ratePerSecond: 1 / 86_400 }
    const service = { ...judged, limits: { ...limits, source: tight, known: loose } }
    const play = async (packets: Sent[]) => {
      const sorted = packets.toSorted((a, b) => a.atMs - b.atMs)
      const file = writeCapture(scratch.path('open.pcap'), sorted)
      const { summary } = await replayFiles([file], policy([service]), { local: [SERVER] })
      return summary.policy
    }
    // A stranger has two attempts, and no more for a day.
    expect((await play(user)).services[0]).toMatchObject({ accepted: 2, refused: 6 })
    const inside = await play([...idle, ...user])
    // The first of them is his session, whose bytes come at once and then nothing. It is known within a second, so
    // those from 5 s to 10 s are known good; the fifth failure, known at 10.5 s, costs him his trust instead of a
    // ban. Those at 11 s and 12 s are a stranger's, with one attempt left.
    expect(inside.services[0]).toMatchObject({ attempts: 9, accepted: 8, refused: 1, banned: 0 })
    expect(inside.services[0]!.reasons).toEqual({ 'within-limit': 2, 'known-good': 6, 'source-limit': 1 })
    expect(inside.banned).toEqual([])
  })

  test('gives who has logged in the limit of those known good', async () => {
    const tight = { burst: 2, ratePerSecond: 1 / 86_400 }
    const service = { ...judged, limits: { ...limits, source: tight, known: loose }, failures: undefined }
    const logins = Array.from({ length: 10 }, (_, i) => ({ ...SUCCEEDED, atMs: i * 5000 }))
    const { policy: found } = await replayed(logins, policy([service]))
    expect(found.services[0]).toMatchObject({ accepted: 10, refused: 0 })
  })
})
