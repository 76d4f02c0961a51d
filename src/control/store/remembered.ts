import { formatPrefix, parsePrefix } from '../../net/prefix.ts'
import type { AllowEntry } from '../allow/allow-list.ts'
import { setAllowed } from '../allow/allowed.ts'
import { BAN_ORIGINS, type Ban, PROOFS } from '../bans/ban.ts'
import { ALL_PORTS } from '../bans/escalation.ts'
import { counted } from '../counted.ts'
import { printable } from '../requests/requests.ts'
import { isCount, isNumber, isOneOf, shape } from '../row-shape.ts'
import type { DaemonState } from '../state.ts'
import { rememberEvidence } from './remembered-evidence.ts'
import type { Store, StoredTable } from './store.ts'

/** Connects what the daemon remembers over a restart with `store`, before that is started. */
export function rememberIn(store: Store, state: DaemonState): void {
  const banChanged = store.add(bansTable(state))
  state.enforced.ledger.onChange = (scope, prefix) => banChanged(`${scope} ${prefix}`)
  state.enforced.offenders.onChange = store.add(offencesTable(state))
  state.allow.onRuntimeChange = store.add(allowTable(state))
  rememberEvidence(store, state)
}

interface BanValue extends Pick<Ban, 'reason' | 'origin' | 'proof'> {
  readonly since: number
  readonly offence: number | null
}

const isOffence = isCount(1)
const isPrintable = (value: unknown): value is string => printable.safeParse(value).success

/** Bans in force; those of services in shadow mode are not kept. */
function bansTable(state: DaemonState): StoredTable {
  const { enforced, log } = state
  // 65,000 bans have few different reasons: each is kept once.
  const reasons = new Map<unknown, string>()
  const isReason = (value: unknown): value is string => reasons.has(value) || isPrintable(value)
  const isBan = shape<BanValue>({
    since: isNumber,
    offence: (value): value is number | null => value === null || isOffence(value),
    reason: isReason,
    origin: isOneOf(BAN_ORIGINS),
    proof: isOneOf(PROOFS),
  })
  let restored = 0
  let lifted = 0
  return {
    name: 'bans',
    *keys() {
      for (const { scope, prefix } of enforced.ledger.list()) yield `${scope} ${formatPrefix(prefix)}`
    },
    read(key, clock) {
      const [scope = '', prefix = ''] = key.split(' ')
      const ban = enforced.ledger.find(parsePrefix(prefix), scope)
      if (ban === undefined) return undefined
      const { startMs, endMs, offence = null, reason, origin, proof } = ban
      return {
        value: { since: clock.toWall(startMs), offence, reason, origin, proof },
        untilMs: Number.isFinite(endMs) ? clock.toWall(endMs) : null,
      }
    },
    restore(rows, clock, isSameKernel) {
      const scopes = [ALL_PORTS, ...state.policy.services.map(({ name }) => name)]
      const bans: Ban[] = []
      for (const [key, { value, untilMs }] of rows) {
        const space = key.indexOf(' ')
        const scope = scopes.find((each) => key.startsWith(each) && each.length === space)
        if (scope === undefined || !isBan(value)) continue
        const { since, offence, reason, origin, proof } = value
        if (!reasons.has(reason)) reasons.set(reason, reason)
        bans.push({
          prefix: parsePrefix(key.slice(space + 1)),
          scope,
          startMs: clock.toMonotonic(since),
          endMs: untilMs === null ? Number.POSITIVE_INFINITY : clock.toMonotonic(untilMs),
          offence: offence ?? undefined,
          reason: reasons.get(reason)!,
          origin,
          proof,
        })
      }
      const outcome = enforced.recall(bans, isSameKernel)
      restored += outcome.restored
      lifted += outcome.lifted
    },
    restored() {
      reasons.clear()
      if (restored > 0) log.info('restored', `put back ${counted(restored, 'ban')} that the kernel had lost`)
      if (lifted > 0)
        log.info('restored', `${counted(lifted, 'ban')} stay lifted: the kernel has them no more`)
    },
  }
}

const isOffences = shape<{ count: number; last: number }>({ count: isCount(1), last: isNumber })

function offencesTable({ enforced: { offenders } }: DaemonState): StoredTable {
  return {
    name: 'offences',
    keys: () => offenders.keys(),
    read(key, clock) {
      const known = offenders.read(key)
      if (known === undefined) return undefined
      const value = { count: known.count, last: clock.toWall(known.lastMs) }
      return { value, untilMs: clock.toWall(known.forgottenMs) }
    },
    restore(rows, clock) {
      for (const [key, { value, untilMs }] of rows) {
        if (untilMs === null || !isOffences(value)) continue
        const { count, last } = value
        const record = { count, lastMs: clock.toMonotonic(last), forgottenMs: clock.toMonotonic(untilMs) }
        offenders.recall(parsePrefix(key), record)
      }
    },
  }
}

const isAllowed = shape<{ reason: string }>({ reason: isPrintable })

/** What people have allowed; it has no end. */
function allowTable(state: DaemonState): StoredTable {
  const runtime = () => state.allow.entries('runtime')
  return {
    name: 'allow',
    keys: () => runtime().map(({ prefix }) => formatPrefix(prefix)),
    read(key) {
      const entry = runtime().find(({ prefix }) => formatPrefix(prefix) === key)
      return entry && { value: { reason: entry.reason }, untilMs: null }
    },
    restore(rows) {
      const known = new Set(this.keys())
      const restored: AllowEntry[] = []
      for (const [key, { value }] of rows) {
        if (known.has(key) || !isAllowed(value)) continue
        restored.push({ prefix: parsePrefix(key), origin: 'runtime', reason: value.reason })
      }
      if (restored.length === 0) return
      state.serial
        .run(() => setAllowed(state, 'runtime', [...runtime(), ...restored]))
        .catch((error: Error) => state.log.error('allow', `could not allow again: ${error.message}`))
    },
  }
}
