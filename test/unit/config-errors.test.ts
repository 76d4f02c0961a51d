import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadPolicy, PolicyError, parsePolicy } from '../../src/config/load.ts'
import { EXIT, Failure } from '../../src/failure.ts'

/** Every line of the refusal of `text`, without the name of the file. */
function complaints(text: string): string[] {
  const error = refusalOf(() => parsePolicy(text, 'p'))
  return error.message.split('\n').map((line) => line.replace(/^p:/, ''))
}

function refusalOf(action: () => unknown): PolicyError {
  try {
    action()
  } catch (error) {
    if (error instanceof PolicyError) return error
    throw error
  }
  throw new Error('the policy was accepted')
}

/** A valid service in line 1, so that each case shows what is wrong with its own lines, from line 2 on. */
const OK = 'services: {ok: {ports: [1], limits: {source: {burst: 1, rate: 1/s}}}}\n'
const LIMITS = 'limits: {source: {burst: 1, rate: 1/s}}'

const KEYS =
  'mode, threads, sources, services, allow, ban, holds, trust, networks, outcomes, dns, queue, firewall, metrics, control, state, log'
const DURATIONS = 'such as 90s, 10m, 2h, 30d or 4w'
const RATES = 'write a rate such as 5/s, 10/min, 100/h or 1/d, at least 1/d and at most 1,000,000/s'
const PORTS = 'write ports from 1 to 65535, such as 22, 53/udp or 8000-8010/tcp'
const ADDRESSES = 'write an address or prefix such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32'

describe('one setting', () => {
  test.each<[string, string]>([
    [
      'mode: enforced',
      '2:7: mode: "enforced" is not allowed; write enforce or shadow (did you mean enforce?)',
    ],
    ['mode: 5', '2:7: mode: 5 is not allowed; write enforce or shadow'],
    ['mode:', '2:6: mode: is empty; write enforce or shadow'],
    ['threads: 0', '2:10: threads: 0 is not allowed; write a whole number from 1 to 16'],
    ['threads: 17', '2:10: threads: 17 is not allowed; write a whole number from 1 to 16'],
    ['threads: 1.5', '2:10: threads: 1.5 is not allowed; write a whole number from 1 to 16'],
    ['threads: "2"', '2:10: threads: "2" is not allowed; write a whole number from 1 to 16'],
    ['threads: .nan', '2:10: threads: NaN is not allowed; write a whole number from 1 to 16'],
    ['threads: [2]', '2:1: threads: a list is not allowed; write a whole number from 1 to 16'],
    ['threads: {a: 2}', '2:1: threads: a section is not allowed; write a whole number from 1 to 16'],
    ['sources: 1000', '2:10: sources: 1000 is not allowed; write a whole number from 1,024 to 16,777,216'],
    [
      'sources: 16777217',
      '2:10: sources: 16777217 is not allowed; write a whole number from 1,024 to 16,777,216',
    ],
    [
      'outcomes: {ssh: {failed: 6000}}',
      '2:26: outcomes.ssh.failed: is not below succeeded; write less than 6,000',
    ],
    [
      'outcomes: {smtp: {succeeded: -1}}',
      '2:30: outcomes.smtp.succeeded: -1 is not allowed; write a whole number from 0 to 1,000,000',
    ],
    ['queue: {first: -1}', '2:16: queue.first: -1 is not allowed; write a whole number from 0 to 65,535'],
    [
      'queue: {length: 65536}',
      '2:17: queue.length: 65536 is not allowed; write a whole number from 1 to 65,535',
    ],
    ['queue: {copy: 63}', '2:15: queue.copy: 63 is not allowed; write a whole number from 64 to 65,531'],
    ['queue: {copy: 1MB}', '2:15: queue.copy: "1MB" is not allowed; write a whole number from 64 to 65,531'],
    ['queue: {failOpen: yes}', '2:19: queue.failOpen: "yes" is not allowed; write true or false'],
    ['queue: {failOpen: off}', '2:19: queue.failOpen: "off" is not allowed; write true or false'],
    ['queue: 5', '2:8: queue: 5 is not allowed; write a section with first, length, copy, failOpen'],
    ['queue: []', '2:1: queue: a list is not allowed; write a section with first, length, copy, failOpen'],
    [
      'ban: {first: 10}',
      `2:14: ban.first: 10 is not allowed; write a duration from 1s to 365d, ${DURATIONS} (did you mean 10s?)`,
    ],
    [
      'ban: {first: 10 min}',
      `2:14: ban.first: "10 min" is not allowed; write a duration from 1s to 365d, ${DURATIONS}`,
    ],
    [
      'ban: {first: 0s}',
      `2:14: ban.first: "0s" is not allowed; write a duration from 1s to 365d, ${DURATIONS}`,
    ],
    [
      'ban: {memory: 53w}',
      `2:15: ban.memory: "53w" is not allowed; write a duration from 1s to 365d, ${DURATIONS}`,
    ],
    ['ban: {factor: 0.5}', '2:15: ban.factor: 0.5 is not allowed; write a number from 1 to 100'],
    ['ban: {factor: .inf}', '2:15: ban.factor: Infinity is not allowed; write a number from 1 to 100'],
    ['ban: {jitter: 10%}', '2:15: ban.jitter: "10%" is not allowed; write a number from 0 to 1'],
    ['ban: {jitter: 1.1}', '2:15: ban.jitter: 1.1 is not allowed; write a number from 0 to 1'],
    [
      'ban: {allPortsFrom: 0}',
      '2:21: ban.allPortsFrom: 0 is not allowed; write a whole number from 1 to 1,000',
    ],
    [
      'ban: {maxEntries: 0}',
      '2:19: ban.maxEntries: 0 is not allowed; write a whole number from 1 to 1,048,576',
    ],
    [
      'allow: 192.0.2.1',
      '2:8: allow: "192.0.2.1" is not allowed; write a list of addresses, such as [192.0.2.1]',
    ],
    ['allow: [here]', `2:9: allow[0]: "here" is not allowed; ${ADDRESSES}`],
    ['allow: [192.0.2.1, 5]', `2:20: allow[1]: 5 is not allowed; ${ADDRESSES}`],
    ['allow: ["192.0.2.1\\n"]', `2:9: allow[0]: "192.0.2.1\\n" is not allowed; ${ADDRESSES}`],
    [
      'allow: [192.0.2.256]',
      '2:9: allow[0]: "192.0.2.256" is no IPv4 or IPv6 address or prefix, such as 192.0.2.0/24 or 2001:db8::/32',
    ],
    [
      'allow: [192.0.2.1/24]',
      '2:9: allow[0]: "192.0.2.1/24" has bits set behind the prefix: did you mean 192.0.2.0/24?',
    ],
    [
      'allow: [192.0.2.0/33]',
      '2:9: allow[0]: "192.0.2.0/33" has an impossible prefix length: 0 to 32 are allowed',
    ],
    [
      'allow: [0.0.0.0/0]',
      '2:9: allow[0]: "0.0.0.0/0" allows everybody and so switches sluice off; write a narrower prefix',
    ],
    [
      'allow:\n- ::/0',
      '3:3: allow[0]: "::/0" allows everybody and so switches sluice off; write a narrower prefix',
    ],
    [
      'firewall: {backend: nftables}',
      '2:21: firewall.backend: "nftables" is not allowed; write auto, nft or legacy',
    ],
    [
      'firewall: {check: 1h}',
      `2:19: firewall.check: "1h" is not allowed; write a duration from 100ms to 1m, ${DURATIONS}`,
    ],
    [
      'dns: {notrack: true}',
      '2:16: dns.notrack: no enabled service answers DNS queries; write false, or enable one with 53/udp or "dns: true"',
    ],
    [
      'dns: {unsolicited: {alarm: 0/s}}',
      '2:28: dns.unsolicited.alarm: "0/s" is not allowed; write a rate such as 5/s, 10/min, 100/h or 1/d, at least 1/d and at most 1,000,000/s',
    ],
    ['holds: on', '2:8: holds: "on" is not allowed; write a section with above, factor'],
    ['holds: {above: 25%}', '2:16: holds.above: "25%" is not allowed; write a number from 0 to 0.9'],
    ['holds: {above: 1}', '2:16: holds.above: 1 is not allowed; write a number from 0 to 0.9'],
    ['trust: on', '2:8: trust: "on" is not allowed; write a section with first, factor, longest, maxEntries'],
    ['trust: {first: 31d}', '2:16: trust.first: 31d is longer than trust.longest; write 30d or less'],
    ['trust: {factor: 0}', '2:17: trust.factor: 0 is not allowed; write a number from 1 to 100'],
    [
      'trust: {maxEntries: 65537}',
      '2:21: trust.maxEntries: 65537 is not allowed; write a whole number from 1 to 65,536',
    ],
    [
      'networks: {sources: 1}',
      '2:21: networks.sources: 1 is not allowed; write a whole number from 2 to 256',
    ],
    [
      'networks: {memory: 31d}',
      `2:20: networks.memory: "31d" is not allowed; write a duration from 1s to 30d, ${DURATIONS}`,
    ],
    ['holds: {factor: 0.5}', '2:17: holds.factor: 0.5 is not allowed; write a number from 1 to 10000'],
    [
      'dns: on',
      '2:6: dns: "on" is not allowed; write a section with reverse, malformed, sweep, flood, slip, slipRate, notrack, unsolicited, induced',
    ],
    ['dns: {slip: 11}', '2:13: dns.slip: 11 is not allowed; write a whole number from 0 to 10'],
    [
      'dns: {sweep: on}',
      '2:14: dns.sweep: "on" is not allowed; write a section with names, partial, within, source, network',
    ],
    [
      'dns: {sweep: {names: 7}}',
      '2:22: dns.sweep.names: 7 is not allowed; write a whole number from 8 to 10,000',
    ],
    [
      'dns: {sweep: {within: 1s}}',
      `2:23: dns.sweep.within: "1s" is not allowed; write a duration from 10s to 1h, ${DURATIONS}`,
    ],
    [
      'dns: {sweep: {network: {rate: 1/min}}}',
      '2:31: dns.sweep.network.rate: is smaller than source.rate, so one busy source would use up what all its neighbours share; write at least as much as source.rate',
    ],
    ['dns: {flood: {factor: 1}}', '2:23: dns.flood.factor: 1 is not allowed; write a number from 1.5 to 100'],
    ['dns: {flood: {usual: 5}}', `2:22: dns.flood.usual: 5 is not allowed; ${RATES} (did you mean 5/min?)`],
    [
      'dns: {reverse: {total: {burst: 10}}}',
      '2:32: dns.reverse.total.burst: is smaller than network.burst, so one busy source would use up what all its neighbours share; write at least as much as network.burst',
    ],
    ['metrics: on', '2:10: metrics: "on" is not allowed; write a section with address, port'],
    ['metrics: {port: 0}', '2:17: metrics.port: 0 is not allowed; write a whole number from 1 to 65,535'],
    [
      'metrics: {address: localhost}',
      '2:20: metrics.address: "localhost" is not allowed; write an address such as 127.0.0.1, ::1 or 0.0.0.0',
    ],
    [
      'metrics: {address: 127.0.0.0/8}',
      '2:20: metrics.address: "127.0.0.0/8" is not allowed; write an address such as 127.0.0.1, ::1 or 0.0.0.0',
    ],
    [
      'metrics: {address: 127.0.0}',
      '2:20: metrics.address: "127.0.0" is no IPv4 or IPv6 address or prefix, such as 192.0.2.0/24 or 2001:db8::/32',
    ],
    [
      'control: {socket: control.sock}',
      '2:19: control.socket: "control.sock" is not allowed; write an absolute path of at most 107 ASCII characters without blanks',
    ],
    [
      `control: {socket: /${'s'.repeat(107)}}`,
      `2:19: control.socket: "/${'s'.repeat(39)}..." is not allowed; write an absolute path of at most 107 ASCII characters without blanks`,
    ],
    [
      'state: {directory: var/lib/sluice}',
      '2:20: state.directory: "var/lib/sluice" is not allowed; write an absolute path of at most 201 ASCII characters without blanks',
    ],
    [
      'control: {group: "0"}',
      '2:18: control.group: "0" is not allowed; write the name of a group, such as sluice',
    ],
    [
      'log: {level: warning}',
      '2:14: log.level: "warning" is not allowed; write debug, info, warn or error (did you mean warn?)',
    ],
    ['log: {format: text}', '2:15: log.format: "text" is not allowed; write auto, json or pretty'],
  ])('%s', (line, expected) => {
    expect(complaints(OK + line)).toEqual([expected])
  })
})

describe('one service', () => {
  test.each<[string, string]>([
    [`ports: [0], ${LIMITS}`, `services.s.ports[0]: 0 is not allowed; ${PORTS}`],
    [`ports: [65536], ${LIMITS}`, `services.s.ports[0]: 65536 is not allowed; ${PORTS}`],
    [`ports: [ssh], ${LIMITS}`, `services.s.ports[0]: "ssh" is not allowed; ${PORTS}`],
    [`ports: [22/sctp], ${LIMITS}`, `services.s.ports[0]: "22/sctp" is not allowed; ${PORTS}`],
    [
      `ports: [90-80], ${LIMITS}`,
      `services.s.ports[0]: "90-80" is not allowed; ${PORTS} (did you mean 80-90/tcp?)`,
    ],
    [`ports: [80-99999], ${LIMITS}`, `services.s.ports[0]: "80-99999" is not allowed; ${PORTS}`],
    [
      `ports: 22, ${LIMITS}`,
      'services.s.ports: 22 is not allowed; write a list of ports, such as [22, 53/udp]',
    ],
    [`ports: [], ${LIMITS}`, 'services.s.ports: is empty; write a list of ports, such as [22, 53/udp]'],
    [LIMITS, 'services.s.ports: is missing; write a list of ports, such as [22, 53/udp]'],
    [
      `ports: [${Array.from({ length: 65 }, (_, i) => i + 2)}], ${LIMITS}`,
      'services.s.ports: has 65 entries; at most 64 are allowed',
    ],
    [
      `ports: [22, 20-30], ${LIMITS}`,
      'services.s.ports[1]: 20-30/tcp is in 22/tcp of this service already; write each port once',
    ],
    [
      `ports: [1], ${LIMITS}`,
      'services.s.ports[0]: 1/tcp is in 1/tcp of service "ok" already; write each port once',
    ],
    ['ports: [22]', 'services.s.limits: is missing; write a section with source, network, total, known'],
    [
      'ports: [22], limits: {}',
      'services.s.limits: there is no limit; write at least one of source, network, total',
    ],
    [
      'ports: [22], limits: {source: }',
      'services.s.limits.source: is empty; write a section with burst, rate',
    ],
    [
      'ports: [22], limits: {source: {rate: 1/s}}',
      'services.s.limits.source.burst: is missing; write a whole number from 1 to 1,000,000',
    ],
    ['ports: [22], limits: {source: {burst: 1}}', `services.s.limits.source.rate: is missing; ${RATES}`],
    [
      'ports: [22], limits: {source: {burst: 0, rate: 1/s}}',
      'services.s.limits.source.burst: 0 is not allowed; write a whole number from 1 to 1,000,000',
    ],
    [
      'ports: [22], limits: {source: {burst: 1000001, rate: 1/s}}',
      'services.s.limits.source.burst: 1000001 is not allowed; write a whole number from 1 to 1,000,000',
    ],
    [
      'ports: [22], limits: {source: {burst: 1, rate: 0/min}}',
      `services.s.limits.source.rate: "0/min" is not allowed; ${RATES}`,
    ],
    [
      'ports: [22], limits: {source: {burst: 1, rate: 1000001/s}}',
      `services.s.limits.source.rate: "1000001/s" is not allowed; ${RATES}`,
    ],
    [
      'ports: [22], limits: {source: {burst: 1, rate: 10}}',
      `services.s.limits.source.rate: 10 is not allowed; ${RATES} (did you mean 10/min?)`,
    ],
    [
      'ports: [22], limits: {source: {burst: 1, rate: 10/m}}',
      `services.s.limits.source.rate: "10/m" is not allowed; ${RATES} (did you mean 10/min?)`,
    ],
    [
      'ports: [22], limits: {source: {burst: 1, rate: fast}}',
      `services.s.limits.source.rate: "fast" is not allowed; ${RATES}`,
    ],
    [
      'ports: [22], limits: {source: {burst: 9, rate: 1/s}, network: {burst: 8, rate: 1/s}}',
      'services.s.limits.network.burst: is smaller than source.burst, so one busy source would use up what all its neighbours share; write at least as much as source.burst',
    ],
    [
      'ports: [22], limits: {source: {burst: 9, rate: 1/s}, total: {burst: 9, rate: 59/min}}',
      'services.s.limits.total.rate: is smaller than source.rate, so one busy source would use up what all its neighbours share; write at least as much as source.rate',
    ],
    [
      'ports: [22], limits: {network: {burst: 9, rate: 1/s}, total: {burst: 8, rate: 1/s}}',
      'services.s.limits.total.burst: is smaller than network.burst, so one busy source would use up what all its neighbours share; write at least as much as network.burst',
    ],
    [
      'ports: [22], limits: {source: {burst: 9, rate: 1/s}, known: {burst: 8, rate: 1/s}}',
      'services.s.limits.known.burst: is smaller than source.burst, so a source known good would have less than a stranger; write at least as much as source.burst',
    ],
    [
      'ports: [22], limits: {source: {burst: 9, rate: 1/s}, known: {burst: 9, rate: 59/min}}',
      'services.s.limits.known.rate: is smaller than source.rate, so a source known good would have less than a stranger; write at least as much as source.rate',
    ],
    [
      'ports: [22], limits: {known: {burst: 9, rate: 1/s}}',
      'services.s.limits: there is no limit; write at least one of source, network, total',
    ],
    [
      `ports: [22], ${LIMITS}, failures: {tries: 5, forget: 30m}`,
      'services.s.failures: the service has no outcome, so nobody can tell which logins failed; add an outcome, or remove this key',
    ],
    [
      `ports: [22], ${LIMITS}, outcome: ssh, failures: {tries: 0, forget: 30m}`,
      'services.s.failures.tries: 0 is not allowed; write a whole number from 1 to 1,000',
    ],
    [
      `ports: [22], ${LIMITS}, outcome: ssh, failures: {tries: 5}`,
      `services.s.failures.forget: is missing; write a duration from 1s to 30d, ${DURATIONS}`,
    ],
    [
      `ports: [22], ${LIMITS}, ban: {within: 1m}`,
      'services.s.ban.strikes: is missing; write a whole number from 1 to 255',
    ],
    [
      `ports: [22], ${LIMITS}, ban: {strikes: 256, within: 1m}`,
      'services.s.ban.strikes: 256 is not allowed; write a whole number from 1 to 255',
    ],
    [
      `ports: [22], ${LIMITS}, ban: {strikes: 1, within: 2w}`,
      `services.s.ban.within: "2w" is not allowed; write a duration from 1s to 1w, ${DURATIONS}`,
    ],
    [
      `ports: [22], ${LIMITS}, outcome: sssh`,
      'services.s.outcome: "sssh" is not allowed; write ssh, dropbear, submission, smtp or none (did you mean ssh?)',
    ],
    [`ports: [22], ${LIMITS}, ban: `, 'services.s.ban: is empty; write a section with strikes, within'],
    [
      `ports: [53/udp, 443/udp], ${LIMITS}, ban: {strikes: 1, within: 1m}`,
      'services.s.ban: all ports are UDP, where the source address can be forged: such sources are limited, never banned; remove this key or add a TCP port',
    ],
    [
      `ports: [53], ${LIMITS}, dns: true`,
      'services.s.dns: no port is UDP, and only datagrams are read as DNS queries; add one such as 53/udp or remove this key',
    ],
    [`ports: [53/udp], ${LIMITS}, dns: 1`, 'services.s.dns: 1 is not allowed; write true or false'],
    [`ports: [22], ${LIMITS}, enabled: no`, 'services.s.enabled: "no" is not allowed; write true or false'],
    [`ports: [22], ${LIMITS}, mode: off`, 'services.s.mode: "off" is not allowed; write enforce or shadow'],
  ])('%s', (service, expected) => {
    const text = `services:\n  ok: {ports: [1], ${LIMITS}}\n  s: {${service}}\n`
    expect(complaints(text).map((line) => line.replace(/^3:\d+: /, ''))).toEqual([expected])
  })
})

describe('keys', () => {
  test.each<[string, string]>([
    ['thread: 2', `2:1: thread: unknown key; allowed are ${KEYS} (did you mean "threads"?)`],
    ['frobnicate: 2', `2:1: frobnicate: unknown key; allowed are ${KEYS}`],
    ['__proto__: {mode: shadow}', '2:1: this is no key; write a plain word'],
    ['constructor: {mode: shadow}', `2:1: constructor: unknown key; allowed are ${KEYS}`],
    ['"a.b": 1', `2:1: ["a.b"]: unknown key; allowed are ${KEYS}`],
    ['? [a]\n: 1', '2:3: this is no key; write a plain word'],
    [
      'queue: {fail_open: true}',
      '2:9: queue.fail_open: unknown key; allowed are first, length, copy, failOpen (did you mean "failOpen"?)',
    ],
    ['log:\n  levle: info', '3:3: log.levle: unknown key; allowed are level, format (did you mean "level"?)'],
    ['mode: shadow\nmode: enforce', '3:1: mode: is there twice; remove this one or the one in line 2'],
  ])('%s', (lines, expected) => {
    expect(complaints(OK + lines)).toEqual([expected])
  })
})

describe('services', () => {
  const NAME =
    'is no name for a service; write a small letter, then at most 15 small letters, digits or "-", and not "all"'
  test.each<[string, string[]]>([
    ['mode: shadow', ['1:1: services: is missing; write a section for each service, such as ssh']],
    ['services:', ['1:10: services: is empty; write a section for each service, such as ssh']],
    [
      'services: [ssh]',
      ['1:1: services: a list is not allowed; write a section for each service, such as ssh'],
    ],
    ['services: {}', ['1:1: services: no service is enabled, so nothing would be limited; enable one']],
    [
      `services: {a: {enabled: false, ports: [1], ${LIMITS}}}`,
      ['1:1: services: no service is enabled, so nothing would be limited; enable one'],
    ],
    [
      'services:\n  ssh:',
      [
        '2:7: services.ssh: is empty; write a section with enabled, ports, mode, dns, limits, ban, failures, outcome',
      ],
    ],
    [`services:\n  Ssh: {ports: [1], ${LIMITS}}`, [`2:3: services.Ssh: ${NAME}`]],
    [`services:\n  22: {ports: [1], ${LIMITS}}`, [`2:3: services["22"]: ${NAME}`]],
    [`services:\n  all: {ports: [1], ${LIMITS}}`, [`2:3: services.all: ${NAME}`]],
    [`services:\n  seventeen-letters: {ports: [1], ${LIMITS}}`, [`2:3: services.seventeen-letters: ${NAME}`]],
    [
      `services:\n${Array.from({ length: 33 }, (_, i) => `  s${i}: {ports: [${i + 1}], ${LIMITS}}`).join('\n')}`,
      ['1:1: services: there are 33 services; at most 32 are allowed'],
    ],
    [
      `services:\n  a: {ports: [20-30], ${LIMITS}}\n  b: {ports: [25/udp, 25], ${LIMITS}}`,
      ['3:23: services.b.ports[1]: 25/tcp is in 20-30/tcp of service "a" already; write each port once'],
    ],
  ])('%s', (text, expected) => {
    expect(complaints(text)).toEqual(expected)
  })

  test('a disabled service may name the ports of another', () => {
    const text = `services:\n  a: {ports: [22], ${LIMITS}}\n  b: {enabled: false, ports: [22], ${LIMITS}}`
    expect(parsePolicy(text, 'p').services.map(({ name }) => name)).toEqual(['a'])
  })
})

describe('settings that must fit together', () => {
  test.each<[string, string]>([
    ['ban: {first: 4h, longest: 3h}', '2:14: ban.first: 4h is longer than ban.longest; write 3h or less'],
    ['ban: {first: 4w}', '2:14: ban.first: 4w is longer than ban.longest; write 3w or less'],
    [
      'ban: {longest: 4w}',
      '2:16: ban.longest: 4w and the jitter of 0.1 together are longer than the kernel can hold, which is 2,147,483 s; write 542h or less',
    ],
    [
      'ban: {longest: 597h, jitter: 0}',
      '2:16: ban.longest: 597h and the jitter of 0 together are longer than the kernel can hold, which is 2,147,483 s; write 596h or less',
    ],
    ['threads: 2\nsources: 2047', '3:10: sources: 2047 are too few for 2 threads; write at least 2,048'],
    [
      'threads: 2\nqueue: {first: 65535}',
      '3:16: queue.first: 65535 is too high: each of the 2 threads has a queue, dns.induced has another, and the highest number is 65,535; write 65533 or less',
    ],
  ])('%s', (lines, expected) => {
    expect(complaints(OK + lines)).toEqual([expected])
  })

  test.each([
    'ban: {longest: 542h}',
    'ban: {longest: 596h, jitter: 0}',
    'queue: {first: 65534}',
    'queue: {first: 65535}\ndns: {induced: off}',
    'threads: 2\nsources: 2048',
  ])('%s is just allowed', (lines) => {
    expect(() => parsePolicy(OK + lines, 'p')).not.toThrow()
  })

  test('more than 65,536 allow entries are refused', () => {
    const allow = `allow: [${'::1,'.repeat(65_536)}`
    expect(parsePolicy(`${OK}${allow}]`, 'p').allow).toHaveLength(65_536)
    expect(complaints(`${OK}${allow}::1]`)).toEqual([
      '2:1: allow: has 65537 entries; at most 65536 are allowed',
    ])
  })
})

describe('YAML', () => {
  const EMPTY = '1:1: the file is empty; rules/sluice.yaml shows a whole policy'
  const WHOLE = `write a section with ${KEYS}`
  test.each<[string, string, string[]]>([
    ['an empty file', '', [EMPTY]],
    ['comments only', '# nothing\n', [EMPTY]],
    ['a list', '- a\n', [`1:1: a list is not allowed; ${WHOLE}`]],
    ['a word', 'enforce\n', [`1:1: "enforce" is not allowed; ${WHOLE}`]],
    [
      'no blank behind the colon',
      'threads: 2\nmode:enforce\n',
      [
        '2:1: no valid YAML: this is neither a key nor a value; write "key: value", with a blank behind the colon',
      ],
    ],
    [
      'no colon',
      'mode enforce\nthreads: 2\n',
      [
        '1:1: no valid YAML: this is neither a key nor a value; write "key: value", with a blank behind the colon',
      ],
    ],
    ['a tab', 'queue:\n\tfirst: 1\n', ['2:1: no valid YAML: a tab indents this line; write spaces']],
    [
      'uneven indentation',
      'queue:\n  first: 1\n length: 2\n',
      ['3:1: no valid YAML: All mapping items must start at the same column'],
    ],
    [
      'an open bracket',
      'allow: [::1\nmode: shadow\n',
      [
        '2:1: no valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
      ],
    ],
    ['an open quote', 'mode: "shadow\n', ['2:1: no valid YAML: Missing closing "quote']],
    [
      'an odd first character',
      'mode: @shadow\n',
      ['1:7: no valid YAML: a value cannot begin with this character; put the value in quotes'],
    ],
    ['a tag', `${OK}mode: !secret shadow\n`, ['2:7: no valid YAML: Unresolved tag: !secret']],
    [
      'two documents',
      'mode: shadow\n---\nmode: shadow\n',
      ['2:1: a second YAML document begins here; a policy is one document'],
    ],
    [
      'an alias',
      `${OK}mode: *m\n`,
      ['2:7: mode: is an alias ("*"), which a policy cannot hold; write the value itself'],
    ],
    [
      'a merge',
      `services:\n  a: &a {ports: [1], ${LIMITS}}\n  b:\n    <<: *a\n    ports: [2]\n    ${LIMITS}\n`,
      ['4:9: services.b["<<"]: is an alias ("*"), which a policy cannot hold; write the value itself'],
    ],
    ['a NUL byte', 'mode: sha\0dow\n', ['1:10: the file holds a NUL byte; write text in UTF-8']],
    ['deep nesting', '['.repeat(1000), ['1:34: the nesting is deeper than 32 levels']],
  ])('%s', (_, text, expected) => {
    expect(complaints(text)).toEqual(expected)
  })

  test('lines end in CR LF as well, and a byte order mark is no text', () => {
    expect(parsePolicy(`\uFEFF${OK}mode: shadow\n`.replaceAll('\n', '\r\n'), 'p').mode).toBe('shadow')
  })

  test.each<[string, string]>([
    ['nested flow lists', '['.repeat(1_000_000)],
    ['nested flow maps', '{a: '.repeat(250_000)],
    ['nested block lists', '- '.repeat(500_000)],
    ['nested keys', '? '.repeat(500_000)],
    ['keys', Array.from({ length: 100_000 }, (_, i) => `k${i}:`).join('\n')],
    ['ports', `services: {a: {ports: [${'1,'.repeat(200_000)}], ${LIMITS}}}`],
    [
      'aliases of aliases',
      Array.from({ length: 100 }, (_, i) => `a${i}: &a${i} [${`*a${i - 1},`.repeat(9)}]`).join('\n'),
    ],
  ])(
    'a megabyte of %s is refused, not followed',
    (_, text) => {
      expect(complaints(text).length).toBeGreaterThan(0)
    },
    60_000,
  )
})

test('all errors are shown at once, in the order of the file', () => {
  const text = `
mod: enforce
services:
  ssh:
    ports: [22, 70000]
    limits:
      source: {burst: 20, rate: 10}
      network: {burst: 10, rate: 10/min}
  web:
    ports: [22]
    limits: {source: {burst: 1, rates: 1/s}}
ban: {first: 4w, longest: 24d}
log: {level: loud}
`
  expect(complaints(text)).toEqual([
    `2:1: mod: unknown key; allowed are ${KEYS} (did you mean "mode"?)`,
    `5:17: services.ssh.ports[1]: 70000 is not allowed; ${PORTS}`,
    `7:33: services.ssh.limits.source.rate: 10 is not allowed; ${RATES} (did you mean 10/min?)`,
    '8:24: services.ssh.limits.network.burst: is smaller than source.burst, so one busy source would use up what all its neighbours share; write at least as much as source.burst',
    `11:14: services.web.limits.source.rate: is missing; ${RATES}`,
    '11:33: services.web.limits.source.rates: unknown key; allowed are burst, rate (did you mean "rate"?)',
    '12:14: ban.first: 4w is longer than ban.longest; write 24d or less',
    '12:27: ban.longest: 24d and the jitter of 0.1 together are longer than the kernel can hold, which is 2,147,483 s; write 542h or less',
    '13:14: log.level: "loud" is not allowed; write debug, info, warn or error',
  ])
})

test('after a hundred errors the rest is only counted', () => {
  const lines = complaints(OK + Array.from({ length: 150 }, (_, i) => `k${i}: 1`).join('\n'))
  expect(lines).toHaveLength(101)
  expect(lines.at(-1)).toBe(' and 50 more errors')
})

test('a refusal has the exit status of a bad configuration', () => {
  expect(refusalOf(() => parsePolicy('', 'p'))).toMatchObject({ status: EXIT.config, file: 'p' })
})

describe('files', () => {
  let directory: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-'))
  })
  afterAll(() => {
    rmSync(directory, { recursive: true })
  })

  test('a file that is not there', () => {
    const path = join(directory, 'none.yaml')
    const remedy = 'sluice comes with a policy, rules/sluice.yaml: copy it there, or name it instead'
    expect(() => loadPolicy(path)).toThrow(
      new Failure(EXIT.noInput, `cannot read the policy ${path}: there is no such file`, remedy),
    )
  })

  test('a directory', () => {
    expect(() => loadPolicy(directory)).toThrow(`cannot read the policy ${directory}: it is a directory`)
  })

  test('a device', () => {
    expect(() => loadPolicy('/dev/zero')).toThrow('cannot read the policy /dev/zero: it is no regular file')
  })

  test('text that is not UTF-8', () => {
    const path = join(directory, 'latin1.yaml')
    writeFileSync(path, Buffer.from('mode: \xe4\n', 'latin1'))
    expect(refusalOf(() => loadPolicy(path)).message).toBe(
      `${path}:1:1: the file is not UTF-8 text; save it in UTF-8`,
    )
  })

  test('a file that is too large', () => {
    const path = join(directory, 'large.yaml')
    writeFileSync(path, '')
    truncateSync(path, 2 ** 20 + 1)
    expect(refusalOf(() => loadPolicy(path)).message).toBe(
      `${path}:1:1: the file has 1048577 bytes; at most 1 MiB is allowed`,
    )
  })

  test('a good one', () => {
    const path = join(directory, 'good.yaml')
    writeFileSync(path, OK)
    expect(loadPolicy(path).services.map(({ name }) => name)).toEqual(['ok'])
  })
})
