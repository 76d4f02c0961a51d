import { allowed } from '../../config/values.ts'
import { EXIT, Failure } from '../../failure.ts'
import { formatPrefix, overlaps, type Prefix } from '../../net/prefix.ts'
import { ALLOW_ORIGINS, type AllowEntry } from '../allow/allow-list.ts'
import { setAllowed } from '../allow/allowed.ts'
import type { BanState } from '../state.ts'
import type { Results } from './protocol.ts'
import type { Request } from './requests.ts'
import { type AllowRow, allowRow, banRow } from './rows.ts'

/** Entries that people add to a running daemon; a longer list belongs into the policy. */
const RUNTIME_MAX = 1024

export function listAllowed({ allow }: BanState): AllowRow[] {
  return allow.entries(...ALLOW_ORIGINS).map(allowRow)
}

/** @throws Failure (usage, refused, or from the firewall) */
export async function addAllowed(
  state: BanState,
  request: Extract<Request, { op: 'allow add' }>,
): Promise<Results['allow add']> {
  const prefix = parse(request.prefix)
  const runtime = state.allow.entries('runtime').filter((entry) => !isSame(entry.prefix, prefix))
  if (runtime.length >= RUNTIME_MAX) {
    throw new Failure(
      EXIT.refused,
      `${RUNTIME_MAX} entries were added already`,
      'put them into the policy, and reload',
    )
  }
  const entry: AllowEntry = { prefix, origin: 'runtime', reason: request.reason ?? 'by hand' }
  const lifted = await setAllowed(state, 'runtime', [...runtime, entry])
  const isRemembered = state.policy.state !== undefined
  const lasts = isRemembered ? 'from now on' : 'until sluice stops'
  state.log.info('allow', `never banned ${lasts}: ${formatPrefix(prefix)}, ${entry.reason}`)
  const wider = state.enforced.ledger.covering(prefix).map((ban) => formatPrefix(ban.prefix))
  const notes = wider.map((ban) => `the ban of ${ban} stays in force for the rest of it`)
  const nowMs = state.now()
  return {
    entry: allowRow(entry),
    isRemembered,
    lifted: lifted.map((ban) => banRow(ban, 'enforce', nowMs)),
    notes,
  }
}

/** @throws Failure (usage, refused, or from the firewall) */
export async function removeAllowed(
  state: BanState,
  request: Extract<Request, { op: 'allow remove' }>,
): Promise<Results['allow remove']> {
  const prefix = parse(request.prefix)
  const runtime = state.allow.entries('runtime')
  const entry = runtime.find((each) => isSame(each.prefix, prefix))
  if (entry === undefined) throw notRemovable(state, prefix)
  await setAllowed(
    state,
    'runtime',
    runtime.filter((each) => each !== entry),
  )
  state.log.info('allow-removed', `no longer on the allow list: ${formatPrefix(prefix)}`)
  return { entry: allowRow(entry) }
}

function notRemovable(state: BanState, prefix: Prefix): Failure {
  const text = formatPrefix(prefix)
  const entries = state.allow.entries('policy', 'host', 'session')
  const same = entries.find((entry) => isSame(entry.prefix, prefix))
  if (same?.origin === 'policy') {
    const remedy = `take it out of ${state.configFile} and run "sluice reload"`
    return new Failure(EXIT.refused, `${text} is on the allow list of the policy`, remedy)
  }
  if (same !== undefined) {
    return new Failure(EXIT.refused, `${text} cannot be taken off the allow list: ${same.reason}`)
  }
  const wider = state.allow.covering(prefix)
  const hint = wider === undefined ? '' : `; ${formatPrefix(wider.prefix)} is (${wider.reason})`
  return new Failure(EXIT.refused, `${text} is not on the allow list${hint}`)
}

function parse(text: string): Prefix {
  try {
    return allowed(text)
  } catch (error) {
    throw new Failure(EXIT.usage, (error as Error).message)
  }
}

function isSame(a: Prefix, b: Prefix): boolean {
  return overlaps(a, b) && a.length === b.length
}
