import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { loadPolicy, parsePolicy } from '../../src/config/load.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { Known } from '../../src/path/known-good.ts'
import { query } from '../lib/dns-query.ts'
import { type PacketFields, packet } from '../lib/packets.ts'
import { VirtualHost } from '../lib/virtual-host.ts'

// The shipped policy against the traffic that it was written for. Hours pass here in milliseconds: time is
// an argument of the path and of the bans, and these tests are its clock.

const SHIPPED = 'rules/sluice.yaml'
const SECOND = 1000
const MINUTE = 60 * SECOND

describe.each([
  { family: 'IPv4', from: '203.0.113.66' },
  { family: 'IPv6', from: '2001:db8:bad::66' },
])('an hour of 30 SSH attempts a minute from one $family source', ({ from }) => {
  test('the limits alone let 1 in 67 through; refused after 12 s, banned after 56 s, three times, in the end from all ports', () => {
    const host = new VirtualHost(loadPolicy(SHIPPED))
    const seen = { accepted: 0, refused: 0, banned: 0, firstRefusalS: Number.NaN, banS: Number.NaN }
    for (; host.nowMs < 60 * MINUTE; host.nowMs += 2 * SECOND) {
      const answer = host.send({ from, port: 22 })
      if (answer === 'banned') seen.banned++
      else if (answer === 'accept within-limit') seen.accepted++
      else {
        expect(answer).toBe('drop source-limit')
        if (seen.refused++ === 0) seen.firstRefusalS = host.nowMs / SECOND
      }
      const bans = host.bans.ledger.list()
      if (bans.length > 0 && Number.isNaN(seen.banS)) seen.banS = host.nowMs / SECOND
    }
    expect(seen).toEqual({ accepted: 27, refused: 60, banned: 1713, firstRefusalS: 12, banS: 56 })
    expect(host.bans.ledger.list()).toMatchObject([{ scope: 'all', offence: 3 }])
  })

  test('the SYNs that its kernel sends again are held back and earn no strike', () => {
    const host = new VirtualHost(loadPolicy(SHIPPED))
    let banMs = 0
    for (let attempt = 0; banMs === 0; attempt++, host.nowMs += 2 * SECOND) {
      const syn = { from, port: 22, sequence: attempt, sourcePort: 40_000 + attempt }
      if (host.send(syn).startsWith('drop') && host.bans.ledger.list().length === 0) {
        expect(host.send(syn)).toBe('drop retransmission')
      }
      if (host.bans.ledger.list().length > 0) banMs = host.nowMs
    }
    expect(banMs).toBe(56 * SECOND)
  })
})

test('30 submission attempts a minute are refused from 60 s on, and banned half a minute later', () => {
  const host = new VirtualHost(loadPolicy(SHIPPED))
  let firstRefusalMs = Number.NaN
  for (; host.bans.ledger.list().length === 0; host.nowMs += 2 * SECOND) {
    const isRefused = host.send({ from: '203.0.113.66', port: 587 }).startsWith('drop')
    if (isRefused && Number.isNaN(firstRefusalMs)) firstRefusalMs = host.nowMs
  }
  expect(firstRefusalMs).toBeLessThanOrEqual(MINUTE)
  expect(host.nowMs).toBeLessThanOrEqual(MINUTE + 30 * SECOND)
})

/** Attempts in the order of time: `atMs`, and whose. */
type Traffic = readonly { readonly atMs: number; readonly fields: PacketFields }[]

/** `count` attempts of each of `sources`, one every `everyMs`. */
function steady(sources: readonly string[], port: number, count: number, everyMs: number): Traffic {
  return Array.from({ length: count }, (_, i) =>
    sources.map((from) => ({ atMs: i * everyMs, fields: { from, port } })),
  ).flat()
}

const neighbours = (count: number) => Array.from({ length: count }, (_, i) => `198.51.100.${i + 1}`)
const later = (ms: number, traffic: Traffic): Traffic =>
  traffic.map((each) => ({ ...each, atMs: each.atMs + ms }))

describe('an Ansible run that opens 20 SSH connections at once, and again five minutes later', () => {
  const from = '198.51.100.7'

  test('passes from an address that has logged in before', () => {
    const host = new VirtualHost(loadPolicy(SHIPPED))
    const slot = host.path.slots.slotOf('ssh')
    host.path.known.set(parsePrefix(from), slot, Known.trusted, 60 * MINUTE, 0)
    for (host.nowMs of [0, 5 * MINUTE]) {
      for (let i = 0; i < 20; i++) expect(host.send({ from, port: 22 })).toBe('accept known-good')
    }
  })

  test('is slowed down from an address that never has, and not banned: what its kernel sends again is no strike', () => {
    const host = new VirtualHost(loadPolicy(SHIPPED))
    const answers: string[] = []
    // When Linux sends a SYN again (tcp_syn_retries 6, RFC 6298): 1, 3, 7, 15, 31 and 63 s after the first.
    for (const seconds of [0, 1, 3, 7, 15, 31, 63]) {
      host.nowMs = seconds * SECOND
      for (let i = answers.filter((answer) => answer.startsWith('accept')).length; i < 20; i++) {
        answers.push(host.send({ from, port: 22, sourcePort: 40_000 + i, sequence: i }))
      }
    }
    const count = (answer: string) => answers.filter((each) => each === answer).length
    expect(answers.slice(0, 20).filter((answer) => answer === 'accept within-limit')).toHaveLength(6)
    expect(count('accept within-limit')).toBe(10)
    expect(count('drop source-limit')).toBe(14)
    expect(host.path.pipeline.counters.strikes[host.path.slots.slotOf('ssh')]).toBe(14)
    expect(host.bans.ledger.list()).toEqual([])
  })
})

describe('honest traffic is never refused:', () => {
  const policy = parsePolicy(
    readFileSync(SHIPPED, 'utf8').replace(/(pop3:\n\s+enabled:) false/, '$1 true'),
    SHIPPED,
  )

  const cases: { what: string; traffic: Traffic }[] = [
    {
      what: 'an administrator who logs in every 20 seconds for an hour',
      traffic: steady(['2001:db8:600d::7'], 22, 180, 20 * SECOND),
    },
    {
      what: 'a large mail provider with 40 connections at once, then 60 a minute for an hour',
      traffic: [
        ...steady(['198.51.100.7'], 25, 40, 0),
        ...later(SECOND, steady(['198.51.100.7'], 25, 3600, SECOND)),
      ],
    },
    {
      what: 'ten outbound servers of one /24 with 200 mails a minute together, for an hour',
      traffic: steady(neighbours(10), 25, 1200, 3 * SECOND),
    },
    {
      what: 'a POP3 client that asks 9 times a minute, for an hour',
      traffic: steady(['198.51.100.7'], 110, 540, MINUTE / 9),
    },
  ]
  for (const { what, traffic } of cases) {
    test(what, () => {
      const host = new VirtualHost(policy)
      const refused = traffic.filter(({ atMs, fields }) => {
        host.nowMs = atMs
        return host.send(fields) !== 'accept within-limit'
      })
      expect(refused).toEqual([])
    })
  }

  const resolvers: { what: string; clients: number; perSecond: number; seconds: number }[] = [
    { what: 'a browser start: 63 DNS queries in one second', clients: 1, perSecond: 63, seconds: 1 },
    { what: 'a busy DNS client: 400 queries in a minute', clients: 1, perSecond: 7, seconds: 57 },
    {
      what: '50 resolvers of one /24, each 60 queries a second for 5 minutes',
      clients: 50,
      perSecond: 60,
      seconds: 300,
    },
  ]
  for (const { what, clients, perSecond, seconds } of resolvers) {
    test(what, () => {
      const { path } = new VirtualHost(policy)
      // A million packets: each is built once.
      const queries = neighbours(clients).map((from) =>
        packet({ from, port: 53, protocol: 'udp', payload: query({ name: 'www.example.org' }) }),
      )
      let refused = 0
      for (let i = 0; i < perSecond * seconds; i++) {
        for (const query of queries) {
          if (path.pipeline.judge(query, 0, query.length, (i * SECOND) / perSecond) !== 0) refused++
        }
      }
      expect(refused).toBe(0)
    })
  }
})
