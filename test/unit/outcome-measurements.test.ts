import { describe, expect, test } from 'vitest'
import { parsePolicy } from '../../src/config/load.ts'
import type { OutcomeKind } from '../../src/config/policy.ts'
import {
  type Confusion,
  confusionOf,
  isCutShort,
  isFitted,
  kindOf,
  modelsOf,
  wilson,
} from '../measure/judging.ts'
import { readOpenings, readRows, type SessionRow } from '../measure/session-rows.ts'

const KINDS: readonly OutcomeKind[] = ['ssh', 'dropbear', 'submission', 'smtp']
const all = ['ssh', 'smtp'].flatMap((kind) => readRows(`rules/outcomes/${kind}.tsv`))
const rows = all.filter((row) => !isCutShort(row))
const judging = rows.filter(({ run }) => !isFitted(run))
const openings = readOpenings('rules/outcomes/ssh-servers.tsv')
const modelOf = modelsOf(
  KINDS.map((kind) => policyOf(kind)),
  openings,
)

function policyOf(kind: OutcomeKind, models = '') {
  const service = `{ports: [22], limits: {source: {burst: 1, rate: 1/s}}, outcome: ${kind}}`
  return parsePolicy(`services: {x: ${service}}\n${models}`, kind)
}

function confusion(kind: OutcomeKind, only = /./): Confusion {
  return confusionOf(
    judging.filter((row) => kindOf(row) === kind && only.test(row.name)),
    modelOf,
  )
}

const total = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0)

describe('of the measured sessions that the models were not fitted on', () => {
  test.each(KINDS)('%s: no success is called failed, and no failure a success', (kind) => {
    const { failed, succeeded } = confusion(kind)
    expect([succeeded.failed, failed.succeeded]).toEqual([0, 0])
    const [, worst] = wilson(succeeded.failed, total(succeeded))
    expect(worst).toBeLessThan(0.07)
  })

  test.each<[OutcomeKind, RegExp, number, number]>([
    ['ssh', /./, 0.4, 0.12],
    ['ssh', /^(hydra|medusa|ncrack|paramiko: wrong|patator|sshpass)/, 0.5, 0],
    ['dropbear', /./, 0.03, 0.2],
  ])('%s %s: enough failures and successes are told', (kind, only, leastFailed, leastSucceeded) => {
    const { failed, succeeded } = confusion(kind, only)
    expect(failed.failed / total(failed)).toBeGreaterThan(leastFailed)
    expect(succeeded.succeeded / total(succeeded)).toBeGreaterThanOrEqual(leastSucceeded)
  })

  test('what Dropbear would have to be told less carefully for: logins that do nothing', () => {
    const bold = modelsOf([policyOf('dropbear', 'outcomes: {dropbear: {failed: 1250}}\n')], openings)
    const of = (truth: SessionRow['truth'], name: RegExp) => {
      const wanted = rows.filter((row) => kindOf(row) === 'dropbear' && row.truth === truth)
      return confusionOf(
        wanted.filter((row) => name.test(row.name)),
        bold,
      )[truth]
    }
    const failed = of('failed', /./)
    expect(failed.failed / total(failed)).toBeGreaterThan(0.3)
    expect(of('succeeded', /(: nothing|unused)$/).failed).toBeGreaterThan(0)
    expect(of('succeeded', /(?<!: nothing|unused)$/).failed).toBe(0)
  })

  const SERVERS = [...openings.keys()].filter((server) => !server.startsWith('dropbear'))
  test.each(SERVERS)('%s: no success is called failed, fitted or not', (server) => {
    const { succeeded } = confusionOf(
      rows.filter((row) => row.server === server),
      modelOf,
    )
    expect(total(succeeded)).toBeGreaterThan(50)
    expect(succeeded.failed).toBe(0)
  })

  test.each([
    ['with', 1],
    ['without', 0],
  ] as const)(
    '%s TCP timestamps no success is called failed, and failures are told as well',
    (_, timestamps) => {
      const { succeeded, failed } = confusionOf(
        rows.filter((row) => row.timestamps === timestamps && kindOf(row) !== 'smtp'),
        modelOf,
      )
      expect(total(succeeded)).toBeGreaterThan(300)
      expect(succeeded.failed).toBe(0)
      const { failed: told } = confusionOf(
        rows.filter((row) => row.timestamps === timestamps && row.server === 'debian'),
        modelOf,
      )
      expect(told.failed / total(told)).toBeGreaterThan(0.6)
      expect(failed.succeeded).toBe(0)
    },
  )

  test('reckoned with timestamps that they have not, successes would be called failed', () => {
    const reckoned = rows
      .filter(({ timestamps }) => timestamps === 0)
      .map((row) => ({ ...row, timestamps: 1 as const }))
    expect(confusionOf(reckoned, modelOf).succeeded.failed).toBeGreaterThan(5)
  })

  test('of whom it is not known whether he has timestamps, no success is called failed', () => {
    expect(confusionOf(rows, modelOf, () => undefined).succeeded.failed).toBe(0)
  })

  const CLIENTS: readonly [string, RegExp][] = [
    ["PuTTY's plink, psftp and pscp", /^(plink|psftp|pscp)/],
    ['paramiko', /^paramiko/],
    ['asyncssh', /^asyncssh/],
    ['libssh2, by curl', /^curl (sftp|scp)/],
    ['dbclient', /^dbclient/],
    [
      'OpenSSH',
      /^(key|password|certificate|keyboard-interactive|scp|sftp|git|shell|forward|nothing|wrong|tar|ls|uptime|exit)/,
    ],
  ]
  test.each(CLIENTS)(
    'no success of %s is called failed, with timestamps, without, and if nobody knows',
    (_, name) => {
      const own = rows.filter((row) => row.kind === 'ssh' && name.test(row.name))
      for (const timestamps of [0, 1]) {
        const { succeeded } = confusionOf(
          own.filter((row) => row.timestamps === timestamps),
          modelOf,
        )
        expect(total(succeeded)).toBeGreaterThan(15)
        expect(succeeded.failed).toBe(0)
      }
      expect(confusionOf(own, modelOf, () => undefined).succeeded.failed).toBe(0)
    },
  )

  test('three host keys have nearly all failures told', () => {
    const { failed } = confusionOf(
      judging.filter(({ server }) => server === 'debian' || server === 'no PAM'),
      modelOf,
    )
    expect(failed.failed / total(failed)).toBeGreaterThan(0.7)
  })

  test('bounds that did not move would call successes failed where a server says less', () => {
    const hardened = rows.filter(({ server }) => server === 'hardened')
    const { succeeded } = confusionOf(hardened, modelsOf([policyOf('ssh')], new Map()))
    expect(succeeded.failed).toBeGreaterThan(20)
  })

  test('a bound a tenth higher would call successes failed', () => {
    const bold = modelsOf([policyOf('ssh', 'outcomes: {ssh: {failed: 2050}}\n')], openings)
    const { succeeded } = confusionOf(
      rows.filter((row) => kindOf(row) === 'ssh'),
      bold,
    )
    expect(succeeded.failed).toBeGreaterThan(0)
  })
})

test.each<[number, number, number, number]>([
  [0, 100, 0, 0.037],
  [50, 100, 0.404, 0.596],
  [100, 100, 0.963, 1],
])('Wilson: %i of %i', (count, all, low, high) => {
  const [from, to] = wilson(count, all)
  expect(from).toBeCloseTo(low, 3)
  expect(to).toBeCloseTo(high, 3)
})
