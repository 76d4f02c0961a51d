import { parsePrefix } from '../../net/prefix.ts'
import type { Evidence } from '../evidence/evidence.ts'
import type { FailureRecord } from '../evidence/failures.ts'
import type { Trust, Trusted } from '../evidence/trust.ts'
import { isCount, isNumber, shape } from '../row-shape.ts'
import type { DaemonState } from '../state.ts'
import type { Store, StoredTable } from './store.ts'

/** What of the daemon's state is remembered here. */
export interface RememberedEvidence extends Pick<DaemonState, 'policy' | 'now'> {
  readonly evidence: Pick<Evidence, 'trust' | 'failures' | 'networks'>
}

/** Connects what sessions have shown with `store`, before that is started. */
export function rememberEvidence(store: Store, state: RememberedEvidence): void {
  const { trust, failures, networks } = state.evidence
  if (trust !== undefined) trust.onChange = store.add(trustTable(state, trust))
  failures.onChange = store.add(failuresTable(state))
  networks.onChange = store.add(networksTable(state))
}

const isTrust = shape<Record<'since' | 'successes' | 'last' | 'term' | 'grown', number>>({
  since: isNumber,
  successes: isCount(1),
  last: isNumber,
  term: (value): value is number => isNumber(value) && value >= 0,
  grown: isNumber,
})

function trustTable(state: RememberedEvidence, trust: Trust): StoredTable {
  let found: Trusted[] = []
  return {
    name: 'trust',
    keys: () => trust.keys(),
    read(key, clock) {
      const known = trust.read(key)
      if (known === undefined) return undefined
      const { sinceMs, successes, lastMs, termMs, grownMs } = known.trusted
      const [since, last, grown] = [sinceMs, lastMs, grownMs].map((ms) => clock.toWall(ms))
      return {
        value: { since, successes, last, term: termMs, grown },
        untilMs: clock.toWall(known.forgottenMs),
      }
    },
    restore(rows, clock) {
      const nowMs = state.now()
      for (const [key, { value }] of rows) {
        const [source = '', service = ''] = key.split(' ')
        // A service that asks for no trust any more may be another one by that name.
        if (serviceOf(state, service)?.limits.known === undefined || !isTrust(value)) continue
        const { since, successes, last, term, grown } = value
        found.push({
          source: parsePrefix(source),
          service,
          sinceMs: clock.toMonotonic(since),
          successes,
          lastMs: Math.min(nowMs, clock.toMonotonic(last)),
          termMs: term,
          grownMs: clock.toMonotonic(grown),
        })
      }
    },
    restored() {
      trust.restore(found)
      found = []
    },
  }
}

const isFailures = shape<Record<'tries' | 'since' | 'forgiven' | 'forgivenSince', number>>({
  tries: isCount(0),
  since: isNumber,
  forgiven: isCount(0),
  forgivenSince: isNumber,
})

function failuresTable(state: RememberedEvidence): StoredTable {
  const { failures } = state.evidence
  let found: [key: string, record: FailureRecord][] = []
  return {
    name: 'failures',
    keys: () => failures.keys(),
    read(key, clock) {
      const record = failures.record(key)
      const forgetMs = serviceOf(state, key.split(' ')[1])?.failures?.forgetMs
      if (record === undefined || forgetMs === undefined) return undefined
      const { tries, triesMs, forgiven, forgivenMs } = record
      if (tries + forgiven === 0) return undefined
      const since = clock.toWall(triesMs)
      const forgivenSince = clock.toWall(forgivenMs)
      const untilMs = Math.max(since + tries * forgetMs, forgivenSince + forgiven * forgetMs)
      return { value: { tries, since, forgiven, forgivenSince }, untilMs }
    },
    restore(rows, clock) {
      for (const [key, { value }] of rows) {
        if (!isFailures(value)) continue
        const { tries, since, forgiven, forgivenSince } = value
        const [triesMs, forgivenMs] = [clock.toMonotonic(since), clock.toMonotonic(forgivenSince)]
        found.push([key, { tries, triesMs, forgiven, forgivenMs }])
      }
    },
    restored() {
      found.sort(([, a], [, b]) => a.triesMs - b.triesMs)
      for (const [key, record] of found) failures.recall(key, record)
      found = []
    },
  }
}

function networksTable(state: RememberedEvidence): StoredTable {
  const { networks } = state.evidence
  return {
    name: 'networks',
    keys: () => networks.keys(),
    read(key, clock) {
      const parts = [...(networks.parts(key) ?? [])]
      const memoryMs = state.policy.networks?.memoryMs
      if (parts.length === 0 || memoryMs === undefined) return undefined
      const failed = parts.map(([part, atMs]) => [part, clock.toWall(atMs)] as const)
      return {
        value: Object.fromEntries(failed),
        untilMs: Math.max(...failed.map(([, at]) => at)) + memoryMs,
      }
    },
    restore(rows, clock) {
      for (const [key, { value }] of rows) {
        if (typeof value !== 'object' || value === null || Array.isArray(value)) continue
        const parts = Object.entries(value)
        if (!parts.every(([, at]) => isNumber(at))) continue
        networks.recall(key, new Map(parts.map(([part, at]) => [part, clock.toMonotonic(at)])))
      }
    },
  }
}

function serviceOf({ policy }: RememberedEvidence, name: string | undefined) {
  return policy.services.find((service) => service.name === name)
}
