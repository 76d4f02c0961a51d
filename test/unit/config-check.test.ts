import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { checkCommand } from '../../src/cli/check.ts'
import { explainPolicy } from '../../src/config/explain.ts'
import { parsePolicy } from '../../src/config/load.ts'
import { EXIT, Failure } from '../../src/failure.ts'

const GOOD = `
mode: enforce
services:
  ssh:
    ports: [22, 2200-2201]
    limits:
      source: {burst: 20, rate: 4/min}
      total: {burst: 200, rate: 10/s}
      known: {burst: 50, rate: 60/min}
    ban: {strikes: 5, within: 10m}
    failures: {tries: 5, forget: 30m}
    outcome: ssh
  dns:
    ports: [53/udp]
    mode: shadow
    limits: {network: {burst: 1000, rate: 1/d}}
allow: [192.0.2.0/24, "2001:db8::1"]
queue: {failOpen: false}
metrics: {address: "::1"}
`

describe('sluice check', () => {
  let directory: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-'))
    writeFileSync(join(directory, 'good.yaml'), GOOD)
    writeFileSync(join(directory, 'shadow.yaml'), GOOD.replace('enforce', 'shadow'))
    writeFileSync(join(directory, 'bad.yaml'), 'mod: shadow\nthreads: 0\n')
  })
  afterAll(() => rmSync(directory, { recursive: true }))
  afterEach(() => vi.restoreAllMocks())

  /** Standard output and, where there was one, the failure. */
  async function check(name: string, ...options: string[]): Promise<{ output: string; failure?: Failure }> {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    const output = () => log.mock.calls.map((args) => `${args.join(' ')}\n`).join('')
    try {
      await checkCommand()
        .exitOverride()
        .parseAsync([join(directory, name), ...options], { from: 'user' })
      return { output: output() }
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return { output: output(), failure: error }
    }
  }

  test('says in one line that a policy is valid', async () => {
    expect(await check('good.yaml')).toEqual({
      output: `${directory}/good.yaml: valid: 2 services (ssh, dns), 1 of them in shadow mode\n`,
    })
    expect((await check('shadow.yaml')).output).toMatch(
      /: valid: 2 services \(ssh, dns\), all in shadow mode\n$/,
    )
  })

  test('--explain adds the policy in words', async () => {
    const { output } = await check('good.yaml', '--explain')
    expect(output).toContain(`\n\n${explainPolicy(parsePolicy(GOOD, 'p'))}\n`)
  })

  test('--json prints the policy, with prefixes and ports as people write them', async () => {
    const { output } = await check('good.yaml', '--json')
    expect(JSON.parse(output)).toMatchObject({
      valid: true,
      errors: [],
      policy: {
        services: [
          { name: 'ssh', ports: ['22/tcp', '2200-2201/tcp'], ban: { strikes: 5, withinMs: 600_000 } },
          { name: 'dns', ports: ['53/udp'], mode: 'shadow' },
        ],
        allow: ['192.0.2.0/24', '2001:db8::1'],
        metrics: { address: '::1', port: 9713 },
      },
    })
    expect(output.trimEnd()).not.toContain('\n')
  })

  test('a bad policy ends with EX_CONFIG and a line for each error', async () => {
    const { output, failure } = await check('bad.yaml')
    expect(output).toBe('')
    expect(failure!.status).toBe(EXIT.config)
    expect(failure!.message.split('\n').map((line) => line.replace(`${directory}/`, ''))).toEqual([
      expect.stringMatching(/^bad\.yaml:1:1: services: is missing; /),
      expect.stringMatching(/^bad\.yaml:1:1: mod: unknown key; .*\(did you mean "mode"\?\)$/),
      'bad.yaml:2:10: threads: 0 is not allowed; write a whole number from 1 to 16',
    ])
  })

  test('--json prints the errors of a bad policy, and ends with EX_CONFIG as well', async () => {
    const { output, failure } = await check('bad.yaml', '--json')
    expect(failure!.status).toBe(EXIT.config)
    const { valid, errors } = JSON.parse(output)
    expect(valid).toBe(false)
    expect(errors).toHaveLength(3)
    expect(errors[2]).toEqual({
      file: `${directory}/bad.yaml`,
      line: 2,
      column: 10,
      path: 'threads',
      message: '0 is not allowed; write a whole number from 1 to 16',
    })
  })

  test('a missing file ends with EX_NOINPUT', async () => {
    const { failure } = await check('none.yaml')
    expect(failure!.status).toBe(EXIT.noInput)
  })
})

test('a policy in words: every value, defaults included', () => {
  expect(explainPolicy(parsePolicy(GOOD, 'p'))).toBe(
    `
mode: enforce

service ssh: 22/tcp, 2200-2201/tcp
  each source   20 at once, then 4 a minute; at most 24 in a minute, 260 in an hour
  each network  no limit
  all together  200 at once, then 10 a second; at most 800 in a minute, 36,200 in an hour
  known good    50 at once, then 1 a second; at most 110 in a minute, 3,650 in an hour; no other limit counts
  ban           after 5 refusals by the first limit within 10m
  failures      ban at 5 failed logins, of which one is forgotten each 30m
  sessions      judged as ssh: failed from 1,360 to 1,880 bytes from the server, succeeded from 6,000 on or after 150s; moved by what the sshd of this host says

service dns: 53/udp, DNS queries, shadow
  each source   no limit
  each network  1,000 at once, then 1 a day; at most 1,000 in a minute, 1,000 in an hour
  all together  no limit
  ban           never

bans: 10m, 40m, 2h 40m, 10h 40m, 1d 18h 40m, 7d 2h 40m, 21d, and up to 10 % more at random
  offences are remembered for 30d; from number 3 on, all ports are closed
  each set holds 65,536 bans
  only sources that completed handshakes within 10m are banned; others stay limited
holds: while more than 5 % of a queue wait, whoever is refused more than 20 times his limit is dropped by the kernel, for a second each time
dns: answers that nobody asked for are dropped and counted; an alarm from 10 a second on
  reverse lookups that clients cause are counted; an alarm from 1,000 an hour for a service on, and no ban
  queries to the DNS service are tracked like all else
dns reverse queries:
  each source   100 at once, then 10 a second; at most 700 in a minute, 36,100 in an hour
  each network  5,000 at once, then 500 a second; at most 35,000 in a minute, 1,805,000 in an hour
  all together  20,000 at once, then 2,000 a second; at most 140,000 in a minute, 7,220,000 in an hour
dns malformed queries:
  each source   20 at once, then 1 a second; at most 80 in a minute, 3,620 in an hour
  each network  200 at once, then 10 a second; at most 800 in a minute, 36,200 in an hour
  all together  1,000 at once, then 50 a second; at most 4,000 in a minute, 181,000 in an hour
dns sweeps: 30 new names near one another, or 16 that are no whole address, within 1m; then
  each source   10 at once, then 1 a second; at most 70 in a minute, 3,610 in an hour
  each network  20 at once, then 2 a second; at most 140 in a minute, 7,220 in an hour
dns floods: 4 times the usual reverse queries of the host, at least 800 a second; over when below half of that for 30s
dns slip: off
trust: 1h after the first login, 4 times as long after each further use, up to 30d; 16,384 sources at most
networks: banned when 8 of their parts have offended within 6h

allow list: 192.0.2.0/24, 2001:db8::1
sources: 262,144 at the same time, in a table of 10.7 MiB
threads: 1, from queue 9713 on, 8,192 packets each
queue: up to 8,192 packets wait, 256 bytes of each are read; when full, packets are dropped
firewall: back end auto, checked every 2s
metrics: http://[::1]:9713/metrics
control: /run/sluice/control.sock, for root and group sluice
state: bans, offences and allowed sources are remembered in /var/lib/sluice
log: info and worse, format auto
`.trim(),
  )
})
