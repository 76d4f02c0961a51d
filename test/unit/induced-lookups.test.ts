import { describe, expect, test } from 'vitest'
import { Alarms } from '../../src/control/alarms.ts'
import { HourCount } from '../../src/control/dns/hour-count.ts'
import { InducedLookups } from '../../src/control/dns/induced-lookups.ts'
import { formatPrefix, parsePrefix } from '../../src/net/prefix.ts'
import { policy, service } from '../lib/policies.ts'

const SERVICES = ['ssh', 'smtp', 'dns']
const POLICY = policy(
  [
    service('ssh', 22),
    service('smtp', 25),
    service('dns', 53, {
      dns: true,
      ports: [
        { protocol: 'udp', first: 53, last: 53 },
        { protocol: 'tcp', first: 53, last: 53 },
      ],
    }),
  ],
  {
    dns: { induced: { alarmPerHour: 1000, ban: { strikes: 3, withinMs: 60_000 } } },
  },
)
const MINUTE = 60_000

/** When clients have last been here, as `SOURCE SERVICE`. */
function create(seen: Record<string, number>): InducedLookups {
  return new InducedLookups({
    connections: { fullAtMs: (source, slot) => seen[`${formatPrefix(source)} ${SERVICES[slot]}`] },
    slotOf: (name) => SERVICES.indexOf(name),
    seed: Uint32Array.of(7),
  })
}

function lookup(address: string, atMs: number, changes: { id?: number; isLocal?: boolean } = {}) {
  return { address: parsePrefix(address), id: atMs & 0xffff, isLocal: false, atMs, ...changes }
}

describe('a reverse lookup is put down', () => {
  test('to the client, at the service where he was last', () => {
    const induced = create({ '192.0.2.1 ssh': 500, '192.0.2.1 smtp': 900 })
    expect(induced.take([lookup('192.0.2.1', 1000)], POLICY)).toMatchObject([
      { service: { name: 'smtp' }, strikes: 1 },
    ])
    expect([induced.count('ssh').total, induced.count('smtp').total]).toEqual([0, 1])
  })

  test('to the /64 of an IPv6 address', () => {
    const induced = create({ '2001:db8:1:2::/64 ssh': 0 })
    const [caused] = induced.take([lookup('2001:db8:1:2:3::4', 10)], POLICY)
    expect(formatPrefix(caused!.source)).toBe('2001:db8:1:2::/64')
  })

  test('to nobody when he was here too long ago, never, or only asked DNS', () => {
    const induced = create({ '192.0.2.1 ssh': 0, '192.0.2.3 dns': 200_000 })
    const late = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((address) => lookup(address, 200_000))
    expect(induced.take(late, POLICY)).toEqual([])
    expect(induced.unexplained).toBe(3)
  })

  test('once, when a question is repeated or asked on by a resolver on this host', () => {
    const induced = create({ '192.0.2.1 ssh': MINUTE * 10 })
    const repeated = [
      lookup('192.0.2.1', 0, { id: 1, isLocal: true }),
      lookup('192.0.2.1', 5, { id: 77 }),
      lookup('192.0.2.1', 9, { id: 78 }),
      lookup('192.0.2.1', 5000, { id: 1, isLocal: true }),
    ]
    expect(induced.take(repeated, POLICY)).toHaveLength(1)
    expect(induced.take([lookup('192.0.2.1', 6000, { id: 2, isLocal: true })], POLICY)).toHaveLength(1)
  })

  test('strikes count within their window, and causes are shown', () => {
    const induced = create({ '192.0.2.1 ssh': MINUTE * 10 })
    const strikes = [0, 1000, 2000, MINUTE + 1].map((atMs) =>
      induced.take([lookup('192.0.2.1', atMs)], POLICY).map((each) => each.strikes),
    )
    expect(strikes).toEqual([[1], [2], [3], [1]])
    const causes = induced.causes(5, (slot) => SERVICES[slot], MINUTE)
    expect(causes.map(({ service: name, lookups }) => [name, lookups])).toEqual([['ssh', 4]])
  })
})

test('an hour is counted to the minute', () => {
  const count = new HourCount()
  for (let minute = 0; minute < 90; minute++) count.add(minute * MINUTE)
  expect([count.total, count.lastHour(89 * MINUTE), count.lastHour(119 * MINUTE)]).toEqual([90, 60, 30])
  expect(count.lastHour(1000 * MINUTE)).toBe(0)
})

test('an alarm goes on at its level and off below half of it, and says so once', () => {
  const log: string[] = []
  const alarms = new Alarms({
    info: (_, message) => void log.push(message),
    warn: (_, message) => void log.push(message),
  })
  const states = [9, 10, 12, 5, 4, 4].map((value) => {
    alarms.set('x', value, 10, `${value} a second`)
    return alarms.isOn('x')
  })
  expect(states).toEqual([false, true, true, true, false, false])
  expect(log).toEqual(['alarm: 10 a second', 'no alarm any more: 4 a second'])
})
