import { readdirSync, readFileSync, statSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { covers, formatPrefix, type Prefix, parsePrefix } from '../../src/net/prefix.ts'
import { Engine } from '../../src/replay/engine.ts'
import { Outcome } from '../../src/replay/outcome.ts'
import { replay } from '../../src/replay/replay.ts'
import { type PolicySummary, type Summary, summarize } from '../../src/replay/summary.ts'
import { readCapture } from '../lib/read-capture.ts'
import { SERVER } from '../lib/scene.ts'
import type { Expectation } from '../record/account.ts'
import { SCENARIOS } from '../record/scenarios.ts'
import { shippedPolicy } from '../record/shipped.ts'

const DIRECTORY = 'pcaps'
const MOST_BYTES = 6 << 20

/** RFC 5737, RFC 2544 and RFC 3849. */
const EXAMPLES = ['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', '198.18.0.0/15', '2001:db8::/32'].map(
  parsePrefix,
)

const captureOf = (name: string) => `${DIRECTORY}/${name}.pcap.gz`

/** Without `failures` sessions are none of its business: what is expected knows the limits only. */
async function replayed(
  name: string,
  enable: readonly string[] | undefined,
  failures = false,
): Promise<Summary> {
  const shipped = shippedPolicy(enable)
  const services = shipped.services.map((service) =>
    failures ? service : { ...service, outcome: undefined },
  )
  const policy = { ...shipped, services }
  const outcome = new Outcome(policy)
  const engines = [new Engine(policy, [outcome])]
  const facts = await replay({ files: [captureOf(name)], engines, local: undefined })
  return summarize(facts, { file: '', outcome })
}

/** The replay's answer in the words of an expectation. */
function condense({ services, sources, banned, unsolicitedAnswers }: PolicySummary): Expectation {
  const refused: Record<string, number> = {}
  for (const [reason, count] of services.flatMap(({ reasons }) => Object.entries(reasons))) {
    if (reason !== 'within-limit' && reason !== 'banned') refused[reason] = (refused[reason] ?? 0) + count
  }
  if (unsolicitedAnswers > 0) refused['unsolicited-answer'] = unsolicitedAnswers
  const sum = (key: 'attempts' | 'accepted' | 'banned') =>
    services.reduce((total, service) => total + service[key], 0)
  const [first] = sources
  return {
    attempts: sum('attempts'),
    accepted: sum('accepted'),
    refused,
    banned: sum('banned'),
    refusedSources: sources.length,
    firstRefusal: first === undefined ? null : event(first, first.first.afterSeconds),
    bans: banned.map((ban) => ({ ...event(ban, ban.afterSeconds), seconds: ban.seconds })),
  }
}

/** Which names of a sweep are new the path tells by a sketch; the account behind what is expected has them all. */
function isSketched({ refused }: Expectation): boolean {
  return refused.sweep !== undefined
}

/** What differs from `expected` by no more than a third of the names that make a sweep. */
function nearly(expected: Expectation) {
  const about = (value: number, most: number) =>
    expect.toSatisfy((found: number) => Math.abs(found - value) <= most)
  const { firstRefusal, refused, accepted } = expected
  return {
    ...expected,
    accepted: about(accepted, 10),
    refused: Object.fromEntries(Object.entries(refused).map(([reason, count]) => [reason, about(count, 10)])),
    firstRefusal: { ...firstRefusal, atS: about(firstRefusal!.atS, 0.25) },
  }
}

function event({ source, service }: { source: string; service: string }, atS: number) {
  return { source, service, atS: Math.round(atS * 1000) / 1000 }
}

describe.each(SCENARIOS)('$name', ({ name, enable }) => {
  test('comes to what is expected under the shipped policy', async () => {
    const { policy, files, local } = await replayed(name, enable)
    const expected: Expectation = JSON.parse(readFileSync(`${DIRECTORY}/${name}.expect.json`, 'utf8'))
    expect(files[0]!.broken).toBeNull()
    expect(condense(policy)).toEqual(isSketched(expected) ? nearly(expected) : expected)
    if (expected.attempts > 0)
      expect(Object.values(SERVER)).toEqual(expect.arrayContaining([...local.prefixes]))
  })

  test('holds no addresses but those for examples', async () => {
    const { packets } = await readCapture(captureOf(name))
    const found = new Map<string, Prefix>()
    for (const { bytes } of packets) {
      for (const address of addresses(bytes)) found.set(address.bytes.join(), address)
    }
    const strangers = [...found.values()].filter((each) => !EXAMPLES.some((prefix) => covers(prefix, each)))
    expect(strangers.map(formatPrefix)).toEqual([])
    expect(found.size).toBeGreaterThan(1)
  })
})

test.each(SCENARIOS.filter(({ isGenerated }) => isGenerated))(
  '$name is what its seed makes',
  async (scenario) => {
    const bytes = gunzipSync(readFileSync(captureOf(scenario.name)))
    expect(bytes.equals(await scenario.make())).toBe(true)
  },
)

test('every file belongs to a scenario, the README has each, and all are small', () => {
  const files = readdirSync(DIRECTORY)
  const names = SCENARIOS.map(({ name }) => name)
  const wanted = names.flatMap((name) => [`${name}.pcap.gz`, `${name}.expect.json`])
  expect(files.sort()).toEqual([...wanted, 'README.md'].sort())
  const readme = readFileSync(`${DIRECTORY}/README.md`, 'utf8')
  expect(names.filter((name) => !readme.includes(`| \`${name}\` |`))).toEqual([])
  const bytes = files.reduce((sum, file) => sum + statSync(`${DIRECTORY}/${file}`).size, 0)
  expect(bytes).toBeLessThan(MOST_BYTES)
})

/** Source and destination. */
function addresses(bytes: Buffer): Prefix[] {
  const family = bytes[0]! >> 4 === 4 ? 4 : 6
  const [start, size] = family === 4 ? [12, 4] : [8, 16]
  return [start, start + size].map((at) => ({
    family,
    bytes: bytes.subarray(at, at + size),
    length: 8 * size,
  }))
}

test('a guess every two seconds is stopped by its failures long before it is by the limits', async () => {
  const { policy } = await replayed('ssh-30-a-minute', undefined, true)
  expect(policy.services.find(({ service }) => service === 'ssh')).toMatchObject({ attempts: 60, refused: 0 })
  expect(policy.banned[0]).toMatchObject({ service: 'ssh', reason: '5 failed logins' })
  expect(policy.banned[0]!.afterSeconds).toBeLessThan(15)
})
