import * as z from 'zod'
import { formatPrefix, parsePrefix } from '../net/prefix.ts'
import type { AllowEntry } from './allow-list.ts'
import { setAllowed } from './allowed.ts'
import { BAN_ORIGINS, type Ban, PROOFS } from './ban.ts'
import { counted } from './counted.ts'
import { ALL_PORTS } from './escalation.ts'
import { rememberEvidence } from './remembered-evidence.ts'
import { printable } from './requests.ts'
import type { DaemonState } from './state.ts'
import type { Store, StoredTable } from './store.ts'

/** Connects what the daemon remembers over a restart with `store`, before that is started. */
export function rememberIn(store: Store, state: DaemonState): void {
  const banChanged = store.add(bansTable(state))
  state.enforced.ledger.onChange = (scope, prefix) => banChanged(`${scope} ${prefix}`)
  state.enforced.offenders.onChange = store.add(offencesTable(state))
  state.allow.onRuntimeChange = store.add(allowTable(state))
  rememberEvidence(store, state)
}

const banValue = z.strictObject({
  since: z.number(),
  offence: z.int().min(1).nullable(),
  reason: printable,
  origin: z.enum(BAN_ORIGINS),
  proof: z.enum(PROOFS),
})

/** Bans in force; those of services in shadow mode are not kept. */
function bansTable(state: DaemonState): StoredTable {
  const { enforced, log } = state
  // 65,000 bans have few different reasons: each is kept once.
  const reasons = new Map<string, string>()
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
      const scopes = new Set([ALL_PORTS, ...state.policy.services.map(({ name }) => name)])
      const bans = rows.flatMap(([key, { value, untilMs }]): Ban[] => {
        const [scope = '', prefix = ''] = key.split(' ')
        const parsed = banValue.safeParse(value)
        if (!parsed.success || !scopes.has(scope)) return []
        const { since, offence, reason, origin, proof } = parsed.data
        if (!reasons.has(reason)) reasons.set(reason, reason)
        return [
          {
            prefix: parsePrefix(prefix),
            scope,
            startMs: clock.toMonotonic(since),
            endMs: untilMs === null ? Number.POSITIVE_INFINITY : clock.toMonotonic(untilMs),
            offence: offence ?? undefined,
            reason: reasons.get(reason)!,
            origin,
            proof,
          },
        ]
      })
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

const offencesValue = z.strictObject({ count: z.int().min(1), last: z.number() })

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
        const parsed = offencesValue.safeParse(value)
        if (!parsed.success || untilMs === null) continue
        const { count, last } = parsed.data
        const record = { count, lastMs: clock.toMonotonic(last), forgottenMs: clock.toMonotonic(untilMs) }
        offenders.recall(parsePrefix(key), record)
      }
    },
  }
}

const allowValue = z.strictObject({ reason: printable })

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
      const restored = rows.flatMap(([key, { value }]): AllowEntry[] => {
        const parsed = allowValue.safeParse(value)
        if (!parsed.success || known.has(key)) return []
        return [{ prefix: parsePrefix(key), origin: 'runtime', reason: parsed.data.reason }]
      })
      if (restored.length === 0) return
      state.serial
        .run(() => setAllowed(state, 'runtime', [...runtime(), ...restored]))
        .catch((error: Error) => state.log.error('allow', `could not allow again: ${error.message}`))
    },
  }
}
