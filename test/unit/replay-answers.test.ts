import { afterAll, expect, test } from 'vitest'
import type { Policy } from '../../src/config/policy.ts'
import { policy, service } from '../lib/policies.ts'
import { type ReplayTestOptions, replayFiles, type Sent, writeCapture } from '../lib/replay.ts'
import { reportOn } from '../lib/report.ts'
import { Scratch } from '../lib/scratch.ts'
import { hasSharedCaptures, SHARED_CAPTURES } from '../lib/shared-captures.ts'

/** A real reflection attack with RRSIG answers; 413 of its datagrams from port 53 are whole or a first fragment. */
const REFLECTION = `${SHARED_CAPTURES}dns-attack-amp-rrsig-a.pcap`
const isThere = hasSharedCaptures('no recorded reflection is replayed')

const HOST = '192.0.2.10'
const RESOLVER = '198.51.100.53'
const ANSWER = Uint8Array.from([0, 1, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x61, 0, 0, 1, 0, 1])
const QUERY = Uint8Array.from([0, 1, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x61, 0, 0, 1, 0, 1])

const SSH = service('ssh', 22, { ban: { strikes: 1, withinMs: 60_000 } })
const UNSOLICITED = { unsolicited: { alarmPerSecond: 10 } }

const scratch = new Scratch()
afterAll(() => scratch.close())

const asks = (atMs: number, port = 40_000): Sent => ({
  atMs,
  from: HOST,
  sourcePort: port,
  to: RESOLVER,
  port: 53,
  protocol: 'udp',
  payload: QUERY,
})
const answers = (atMs: number, port = 40_000, from = RESOLVER): Sent => ({
  atMs,
  from,
  sourcePort: 53,
  to: HOST,
  port,
  protocol: 'udp',
  payload: ANSWER,
})

async function unsolicitedIn(
  packets: readonly Sent[],
  under: Policy = policy([SSH], { dns: UNSOLICITED }),
  options: ReplayTestOptions = { local: [HOST] },
): Promise<number> {
  const file = writeCapture(scratch.path('answers.pcap'), packets)
  const { summary } = await replayFiles([file], under, options)
  expect(summary.policy.banned).toEqual([])
  return summary.policy.unsolicitedAnswers
}

test.each<[string, readonly Sent[], number]>([
  ['an answer to what the host has asked', [asks(0), answers(20)], 0],
  ['to nothing', [answers(20)], 1],
  ['to another port', [asks(0), answers(20, 40_001)], 1],
  ['from another server', [asks(0), answers(20, 40_000, '203.0.113.9')], 1],
  ['within half a minute', [asks(0), answers(29_000)], 0],
  ['later', [asks(0), answers(31_000)], 1],
  ['each one keeps the way open', [asks(0), answers(1000), answers(30_500)], 0],
  [
    'two minutes, once packets have gone both ways for two seconds',
    [asks(0), answers(1000), asks(3000), answers(120_000)],
    0,
  ],
  ['a question from port 53', [{ ...answers(0), payload: QUERY }], 0],
  ['what is no DNS message', [{ ...answers(0), payload: Uint8Array.of(1) }], 1],
])('%s', async (_, packets, count) => {
  expect(await unsolicitedIn(packets)).toBe(count)
})

test('also where the policy has a DNS service, whose own answers are none', async () => {
  const dns = service('dns', 53, { dns: true, ports: [{ protocol: 'udp', first: 53, last: 53 }] })
  const client = {
    from: RESOLVER,
    to: HOST,
    sourcePort: 5555,
    port: 53,
    protocol: 'udp',
    payload: QUERY,
  } as const
  const served = {
    from: HOST,
    to: RESOLVER,
    sourcePort: 53,
    port: 5555,
    protocol: 'udp',
    payload: ANSWER,
  } as const
  const packets = [asks(0), answers(10), { atMs: 20, ...client }, { atMs: 30, ...served }, answers(40, 999)]
  expect(await unsolicitedIn(packets, policy([SSH, dns], { dns: UNSOLICITED }))).toBe(1)
})

test('not where the policy lets them pass, nor from the allow list; in shadow mode they are seen', async () => {
  const packets = [answers(0)]
  expect(await unsolicitedIn(packets, policy([SSH], { dns: { unsolicited: undefined } }))).toBe(0)
  const allow = [{ family: 4 as const, bytes: Uint8Array.of(198, 51, 100, 0), length: 24 }]
  expect(await unsolicitedIn(packets, policy([SSH], { dns: UNSOLICITED, allow }))).toBe(0)
  expect(await unsolicitedIn(packets, policy([SSH], { dns: UNSOLICITED, mode: 'shadow' }))).toBe(1)
})

test('the report and the comparison of policies tell of them', async () => {
  const file = writeCapture(scratch.path('told.pcap'), [answers(0), answers(1, 40_001)])
  const passing = policy([SSH], { dns: { unsolicited: undefined } })
  const options = { local: [HOST], against: passing }
  const { page } = await reportOn(file, policy([SSH], { dns: UNSOLICITED }), options)
  expect(page).toContain('<p>2 answers from port 53 to questions that nobody here has asked: dropped.')
  expect(page).toMatch(/unsolicited answers<\/th>[^,]*>2 -&gt; 0</)
})

test('each is a line of the verdicts, of no service', async () => {
  const file = writeCapture(scratch.path('lines.pcap'), [answers(0)])
  const line = (verdict: string) =>
    `2023-11-14T22:13:20.000000Z,${RESOLVER},53,,40000,${verdict},unsolicited-answer,1`
  for (const [mode, verdict] of [
    ['enforce', 'drop'],
    ['shadow', 'shadow'],
  ] as const) {
    const { csv } = await replayFiles([file], policy([SSH], { dns: UNSOLICITED, mode }), { local: [HOST] })
    expect(csv).toEqual([line(verdict)])
  }
})

test('whoever gets answers is the host, where nobody asks it for anything', async () => {
  expect(await unsolicitedIn([answers(0), answers(1, 40_001)], undefined, {})).toBe(2)
})

test.runIf(isThere)(
  'a recorded reflection is dropped, bans nobody, and is judged the same each time',
  async () => {
    const under = policy([SSH], { dns: UNSOLICITED })
    const runs = [await replayFiles([REFLECTION], under), await replayFiles([REFLECTION], under)]
    expect(runs[0]!.summary.policy.unsolicitedAnswers).toBe(413)
    expect(runs[0]!.summary.policy.banned).toEqual([])
    expect(runs[1]!.text).toBe(runs[0]!.text)
  },
)
