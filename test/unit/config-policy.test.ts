import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { isMap, parseDocument, type YAMLMap } from 'yaml'
import * as z from 'zod'
import { parsePolicy } from '../../src/config/load.ts'
import type { Limit, Policy } from '../../src/config/policy.ts'
import { policyFile } from '../../src/config/schema.ts'
import { formatPrefix } from '../../src/net/prefix.ts'

const SHIPPED = readFileSync(new URL('../../rules/sluice.yaml', import.meta.url), 'utf8')
const shipped = parsePolicy(SHIPPED, 'rules/sluice.yaml')

const SERVICES = 'services: {ssh: {ports: [22], limits: {source: {burst: 20, rate: 10/min}}}}\n'
const parse = (lines: string): Policy => parsePolicy(SERVICES + lines, 'p')

describe('values', () => {
  test.each<[string, (policy: Policy) => unknown, unknown]>([
    ['ban: {first: 90s}', ({ ban }) => ban.firstMs, 90_000],
    ['ban: {first: 10m}', ({ ban }) => ban.firstMs, 600_000],
    ['ban: {first: 2h}', ({ ban }) => ban.firstMs, 7_200_000],
    ['ban: {memory: 30d}', ({ ban }) => ban.memoryMs, 2_592_000_000],
    ['ban: {memory: 4w}', ({ ban }) => ban.memoryMs, 2_419_200_000],
    ['ban: {jitter: 0, factor: 1.5}', ({ ban }) => [ban.jitter, ban.factor], [0, 1.5]],
    ['firewall: {check: 500ms}', ({ firewall }) => firewall.checkMs, 500],
    [
      'queue: {copy: 128, length: 100}',
      ({ queue }) => [queue.copyBytes, queue.socketBufferBytes],
      [128, 115_200],
    ],
    ['queue: {failOpen: false}', ({ queue }) => queue.failOpen, false],
    ['holds:', ({ holds }) => holds, { above: 0.05, factor: 20 }],
    ['dns:', ({ dns }) => dns, shipped.dns],
    ['dns: {sweep: off, flood: false}', ({ dns }) => [dns.sweep, dns.flood], [undefined, undefined]],
    ['dns: {flood: {usual: 2000/s}}', ({ dns }) => dns.flood?.usualPerSecond, 2000],
    [
      'dns: {reverse: {source: {rate: 20/s}}}',
      ({ dns }) => dns.reverse.source,
      { burst: 100, ratePerSecond: 20 },
    ],
    ['holds: {factor: 5}', ({ holds }) => holds, { above: 0.05, factor: 5 }],
    ['holds: off', ({ holds }) => holds, undefined],
    ['dns:', ({ dns }) => dns.unsolicited, { alarmPerSecond: 10 }],
    ['dns: {unsolicited: off}', ({ dns }) => [dns.notrack, dns.unsolicited], [false, undefined]],
    ['metrics: off', ({ metrics }) => metrics, undefined],
    ['metrics: false', ({ metrics }) => metrics, undefined],
    ['metrics: {address: "::1"}', ({ metrics }) => metrics, { address: '::1', port: 9713 }],
    ['metrics:', ({ metrics }) => metrics, { address: '127.0.0.1', port: 9713 }],
    ['allow:', ({ allow }) => allow, []],
    [
      'allow: [192.0.2.1, 192.0.2.0/24, "2001:db8::/32", "::ffff:192.0.2.9", 192.0.2.1]',
      ({ allow }) => allow.map(formatPrefix),
      ['192.0.2.1', '192.0.2.0/24', '2001:db8::/32', '192.0.2.9', '192.0.2.1'],
    ],
    [`control: {socket: /${'s'.repeat(106)}}`, ({ control }) => control.socket.length, 107],
    ['state: {directory: /srv/sluice}', ({ state }) => state?.directory, '/srv/sluice'],
    ['state: off', ({ state }) => state, undefined],
  ])('%s', (lines, read, expected) => {
    expect(read(parse(lines))).toEqual(expected)
  })

  test.each<[string, number]>([
    ['5/s', 5],
    ['10/min', 10 / 60],
    ['100/h', 100 / 3600],
    ['1/d', 1 / 86_400],
    ['1000000/s', 1_000_000],
  ])('a rate of %s', (rate, perSecond) => {
    const { services } = parsePolicy(SERVICES.replace('10/min', rate), 'p')
    expect(services[0]!.limits.source).toEqual({ burst: 20, ratePerSecond: perSecond })
  })

  test.each([
    ['[53/udp]', '', true],
    ['[50-60/udp]', '', true],
    ['[53]', '', false],
    ['[5353/udp]', '', false],
    ['[5353/udp]', ', dns: true', true],
    ['[53/udp]', ', dns: false', false],
  ])('a service with ports %s%s: DNS is %s', (ports, option, expected) => {
    const { services } = parsePolicy(SERVICES.replace('[22]', ports + option), 'p')
    expect(services[0]!.dns).toBe(expected)
  })

  test('ports are TCP unless they say UDP', () => {
    const { services } = parsePolicy(SERVICES.replace('[22]', '[22, 53/udp, 80-89, "90-91/tcp"]'), 'p')
    expect(services[0]!.ports).toEqual([
      { protocol: 'tcp', first: 22, last: 22 },
      { protocol: 'udp', first: 53, last: 53 },
      { protocol: 'tcp', first: 80, last: 89 },
      { protocol: 'tcp', first: 90, last: 91 },
    ])
  })
})

describe('the shipped policy', () => {
  const document = () => parseDocument(SHIPPED)

  test('has four services, all enforced', () => {
    expect(shipped.mode).toBe('enforce')
    expect(shipped.services.map(({ name, mode }) => [name, mode])).toEqual([
      ['ssh', 'enforce'],
      ['smtp', 'enforce'],
      ['submission', 'enforce'],
      ['dns', 'enforce'],
    ])
  })

  test('shows the true defaults: without its optional settings it means the same', () => {
    const stripped = document()
    for (const { key } of [...(stripped.contents as YAMLMap<{ value: string }>).items]) {
      if (key.value !== 'services') stripped.delete(key.value)
    }
    for (const { value } of (stripped.get('services') as YAMLMap<unknown, YAMLMap>).items) {
      value!.delete('mode')
      if (value!.get('enabled') === true) value!.delete('enabled')
    }
    expect(Object.keys(stripped.toJS())).toEqual(['services'])
    expect(parsePolicy(String(stripped), 'p')).toEqual(shipped)
  })

  test.each(settings(policyFile.shape).filter((path) => path[0] !== 'services'))('shows %s', (...path) => {
    expect(document().hasIn(path)).toBe(true)
  })

  test.each(['imap', 'pop3', 'http', 'https'])('has %s ready to be enabled', (name) => {
    const enabled = document()
    enabled.setIn(['services', name, 'enabled'], true)
    expect(parsePolicy(String(enabled), 'p').services.map((each) => each.name)).toContain(name)
  })

  test('its ssh service shows every setting of a service', () => {
    const service = policyFile.shape.services.valueType.shape
    for (const path of settings(service)) {
      // Its own service shows what is for DNS only.
      const name = path[0] === 'dns' ? 'dns' : 'ssh'
      expect(document().hasIn(['services', name, ...path]), path.join('.')).toBe(true)
    }
  })

  test('explains every setting in the lines above it', () => {
    const lines = SHIPPED.split('\n')
    const ofServices = lines.indexOf('services:')
    const end = lines.findIndex((line, i) => i > ofServices && line.startsWith('ban:'))
    const bare = lines.filter((line, i) => {
      const isSetting = /^( {2})?[A-Za-z]+: \S/.test(line) && (i < ofServices || i > end)
      return isSetting && !/^ *#/.test(lines[i - 1]!)
    })
    expect(bare).toEqual([])
  })
})

/** What the shipped limits are meant to do, with the traffic that they were chosen for. */
describe('the shipped limits', () => {
  const limitsOf = (name: string) => shipped.services.find((service) => service.name === name)!.limits

  test('stop 30 SSH attempts a minute within the first minute', () => {
    expect(refusals(limitsOf('ssh').source!, paced(30, 60))).toBeGreaterThan(0)
    expect(refusals(limitsOf('ssh').source!, paced(30, 60))).toBeGreaterThanOrEqual(
      shipped.services[0]!.ban!.strikes,
    )
  })

  test.each<[string, string, keyof Policy['services'][number]['limits'], number[]]>([
    ['a stranger who opens six SSH connections at once', 'ssh', 'source', Array(6).fill(0)],
    [
      'an Ansible run of 50 connections at once from where somebody has logged in',
      'ssh',
      'known',
      Array(50).fill(0),
    ],
    ['a large provider with 50 connections at once', 'smtp', 'source', Array(50).fill(0)],
    ['ten of its servers with 50 each', 'smtp', 'network', Array(500).fill(0)],
    ['a client that sends 63 queries in one second', 'dns', 'source', Array(63).fill(0)],
    ['a client that sends 400 queries in one minute', 'dns', 'source', Array(400).fill(0)],
    ['a resolver with 60 queries every second for 10 minutes', 'dns', 'source', paced(3600, 600)],
    ['fifty such resolvers in one network', 'dns', 'network', paced(180_000, 60)],
  ])('let %s pass', (_, service, kind, timesSeconds) => {
    expect(refusals(limitsOf(service)[kind]!, timesSeconds)).toBe(0)
  })

  test('let one POP3 client poll 9 times a minute for an hour', () => {
    const enabled = parseDocument(SHIPPED)
    enabled.setIn(['services', 'pop3', 'enabled'], true)
    const pop3 = parsePolicy(String(enabled), 'p').services.find(({ name }) => name === 'pop3')!
    expect(refusals(pop3.limits.source!, paced(9, 3600))).toBe(0)
  })
})

/** Times in seconds of `perMinute` attempts a minute, evenly spaced, for `seconds`. */
function paced(perMinute: number, seconds: number): number[] {
  return Array.from({ length: Math.floor((perMinute * seconds) / 60) }, (_, i) => (i * 60) / perMinute)
}

/** A plain token bucket, written on its own and not like the path's. */
function refusals({ burst, ratePerSecond }: Limit, timesSeconds: number[]): number {
  let tokens = burst
  let last = 0
  let refused = 0
  for (const now of timesSeconds) {
    tokens = Math.min(burst, tokens + (now - last) * ratePerSecond)
    last = now
    if (tokens >= 1) tokens--
    else refused++
  }
  return refused
}

/** The paths of all settings in a schema's shape. */
function settings(shape: Record<string, unknown>): string[][] {
  return Object.entries(shape).flatMap(([key, schema]) => {
    const inner = objectIn(schema)
    return inner === undefined ? [[key]] : settings(inner.shape).map((path) => [key, ...path])
  })
}

/** The object schema behind defaults, preprocessing and `optional`. */
function objectIn(schema: unknown): z.ZodObject | undefined {
  if (schema instanceof z.ZodObject) return schema
  if (schema instanceof z.ZodPipe) return objectIn(schema.out)
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) return objectIn(schema.unwrap())
  return undefined
}

test('objectIn sees sections', () => {
  expect(settings(policyFile.shape)).toContainEqual(['queue', 'failOpen'])
  expect(settings(policyFile.shape)).toContainEqual(['metrics', 'port'])
  expect(isMap(parseDocument(SHIPPED).contents)).toBe(true)
})
