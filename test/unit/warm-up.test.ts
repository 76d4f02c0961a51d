import { expect, test } from 'vitest'
import { loadPolicy } from '../../src/config/load.ts'
import { compilePolicy } from '../../src/path/compile.ts'
import { decisionIndex } from '../../src/path/counters.ts'
import { DNS_KINDS, DnsKind } from '../../src/path/dns/message.ts'
import { SweepKind } from '../../src/path/dns/walk-records.ts'
import { REASONS } from '../../src/path/reasons.ts'
import { ServiceSlots } from '../../src/path/service-slots.ts'
import { warmUp } from '../../src/path/warm-up.ts'
import { samplePackets } from '../../src/path/warm-up-packets.ts'
import { TestPath } from '../lib/path.ts'

const policy = loadPolicy(new URL('../../rules/sluice.yaml', import.meta.url).pathname)
const compiled = compilePolicy(policy, new ServiceSlots())

test('the made-up packets are of all kinds that the path tells apart', () => {
  const path = new TestPath(policy)
  const families = new Set<number>()
  const reasons = new Set<string>()
  const services = new Set<number>()
  for (const bytes of samplePackets(compiled)) {
    path.pipeline.judge(bytes, 0, bytes.length, 1_000_000)
    families.add(path.pipeline.view.family)
    reasons.add(REASONS[path.pipeline.reason]!.name)
    services.add(compiled.tcpPorts[path.pipeline.view.destinationPort]!)
  }
  expect(families).toEqual(new Set([4, 6]))
  expect(reasons).toEqual(new Set(['within-limit', 'unsolicited-answer']))
  for (const { name } of policy.services) expect([...services]).toContain(path.slots.slotOf(name))
  const { dnsKinds } = path.pipeline.counters
  const seen = DNS_KINDS.filter((_, kind) => dnsKinds[kind]! > 0)
  expect(seen).toEqual(['forward', 'reverse', 'malformed'])
})

test('warming up ends with the packets or the time, whichever is over first', () => {
  expect(warmUp(compiled, 60_000, 3000)).toBeGreaterThanOrEqual(3000)
  const startedMs = performance.now()
  warmUp(compiled, 100, 1e9)
  expect(performance.now() - startedMs).toBeLessThan(30_000)
})

test('a path that is there meanwhile stays as it was', () => {
  const path = new TestPath(policy)
  const memory = () =>
    [path.shared.sources, path.shared.totals, path.shared.counters, path.shared.dns.rate].map((each) =>
      Buffer.from(each).toString('base64'),
    )
  const before = memory()
  warmUp(path.pipeline.policy, 60_000, 3000)
  expect(memory()).toEqual(before)
})

test('all happens that does in a flood of reverse queries, so that no code is thrown away when one comes', () => {
  const path = new TestPath(policy)
  const { pipeline } = path
  warmUp(pipeline.policy, 60_000, 20_000, [pipeline])
  const { decisions, dnsKinds, sweeps } = pipeline.counters
  const seen = REASONS.filter((_, reason) =>
    Array.from({ length: 65 }, (_, slot) => slot).some((slot) =>
      [0, 1, 2].some((verdict) => decisions[decisionIndex(slot, verdict, reason)]! > 0),
    ),
  ).map(({ name }) => name)
  expect(seen).toEqual(
    expect.arrayContaining([
      'within-limit',
      'source-limit',
      'network-limit',
      'reverse-limit',
      'sweep',
      'reverse-flood',
      'malformed-query',
      'unsolicited-answer',
    ]),
  )
  expect(dnsKinds[DnsKind.reverse]).toBeGreaterThan(1000)
  expect(sweeps[SweepKind.tree]).toBeGreaterThan(0)
})
