import { EXIT, Failure } from '../../failure.ts'
import { covers, formatPrefix, type Prefix, parsePrefix, SOURCE_BITS, widen } from '../../net/prefix.ts'
import type { Ban } from '../bans/ban.ts'
import type { Bans } from '../bans/bans.ts'
import { ALL_PORTS } from '../bans/escalation.ts'
import { type PardonState, pardon } from '../bans/pardon.ts'
import { roughDuration } from '../rough-duration.ts'
import type { BanState } from '../state.ts'
import type { Results } from './protocol.ts'
import type { Request } from './requests.ts'
import { type BanRow, banRow } from './rows.ts'

type Add = Extract<Request, { op: 'bans add' }>
type Remove = Extract<Request, { op: 'bans remove' }>

/** A wider ban would be a mistake of the keyboard more often than not. */
const SHORTEST_PREFIX = { 4: 8, 6: 16 } as const

/** All bans, those that end first on top. */
export function listBans(state: BanState): BanRow[] {
  const nowMs = state.now()
  return bothOf(state)
    .flatMap((bans) => bans.ledger.list().map((ban) => ({ ban, mode: bans.mode })))
    .sort((a, b) => a.ban.endMs - b.ban.endMs)
    .map(({ ban, mode }) => banRow(ban, mode, nowMs))
}

/** @throws Failure (usage, refused, osError) */
export function addBan(state: BanState, request: Add): Results['bans add'] {
  if (state.enforced.isSuspended) {
    throw new Failure(EXIT.refused, 'nobody is banned while panic is on', 'end it with "sluice resume"')
  }
  const { prefix, notes } = sourceOf(request.prefix)
  const shortest = SHORTEST_PREFIX[prefix.family]
  if (prefix.length < shortest) {
    const message = `${formatPrefix(prefix)} is too wide to be banned: /${shortest} is the widest`
    throw new Failure(EXIT.refused, message, 'block whole parts of the Internet in the firewall itself')
  }
  const allowed = state.allow.overlapping(prefix)
  if (allowed !== undefined) {
    const asked = formatPrefix(prefix)
    const entry = formatPrefix(allowed.prefix)
    throw new Failure(
      EXIT.refused,
      `${asked} cannot be banned: ${entry === asked ? 'it' : entry} is never banned (${allowed.reason})`,
      notes.length > 0 ? `"${request.prefix}/128" bans this one address only` : undefined,
    )
  }
  const scope = scopeOf(state, request.service)
  const durationMs = request.seconds === undefined ? state.policy.ban.firstMs : request.seconds * 1000
  const refused = state.enforced.banManually(prefix, scope, durationMs, request.reason ?? 'by hand')
  if (refused !== undefined) {
    const message = `the kernel has not taken the ban of ${formatPrefix(prefix)}: ${refused}`
    throw new Failure(EXIT.osError, message, 'sluice goes on trying: its log says when it has not worked')
  }
  const ban = state.enforced.ledger.find(prefix, scope)!
  return { ban: banRow(ban, 'enforce', state.now()), notes }
}

/**
 * Lifts bans, and with them all that would soon bring the next one, of the source or of all sources in the
 * network (see `pardon`). Who is not banned is pardoned all the same.
 *
 * @throws Failure (usage, refused)
 */
export function removeBan(state: PardonState, request: Remove): Results['bans remove'] {
  const asked = parse(request.prefix)
  const { prefix } = sourceOf(request.prefix)
  const isAsked = (ban: Ban) => request.service === undefined || ban.scope === request.service
  const found = bothOf(state).map((bans) => ({
    bans,
    held: bans.ledger
      .list()
      .filter((ban) => isAsked(ban) && (isSame(ban.prefix, asked) || isSame(ban.prefix, prefix))),
  }))
  const isBanned = found.some(({ held }) => held.length > 0)
  const isBannedOtherwise = bothOf(state).some(({ ledger }) => ledger.covering(asked).length > 0)
  if (!isBanned && isBannedOtherwise) throw notBanned(state, request, asked)
  const { service } = request
  const services = state.policy.services.filter(
    ({ name }) => service === undefined || service === ALL_PORTS || service === name,
  )
  const cleared = pardon(state, prefix, services)
  if (!isBanned && cleared.sources === 0) throw notBanned(state, request, asked)
  const nowMs = state.now()
  const lifted = found.flatMap(({ bans, held }) => {
    bans.lift(held)
    return held.map((ban) => banRow(ban, bans.mode, nowMs))
  })
  for (const { prefix, scope } of lifted) {
    state.log.info('unban', `lifted the ban of ${prefix} as asked`, { source: prefix, scope })
  }
  return { lifted, cleared }
}

function notBanned(state: BanState, { prefix, service }: Remove, asked: Prefix): Failure {
  const where = service === undefined ? '' : ` from ${service}`
  const others = bothOf(state).flatMap((bans) => bans.ledger.covering(asked))
  if (others[0] === undefined) return new Failure(EXIT.refused, `${prefix} is not banned${where}`)
  const { prefix: wider, scope, endMs } = others[0]
  const left = endMs === Number.POSITIVE_INFINITY ? 'no end' : `${roughDuration(endMs - state.now())} left`
  const ban = formatPrefix(wider)
  return new Failure(
    EXIT.refused,
    `${prefix} itself is not banned${where}, but ${ban} is, from ${scope}, with ${left}`,
    `lift that with "sluice bans remove ${ban}", or let ${prefix} through with "sluice allow add ${prefix}"`,
  )
}

/** A source as the path sees it: a bare IPv6 address means its /64. */
function sourceOf(text: string): { prefix: Prefix; notes: string[] } {
  const written = parse(text)
  if (written.family === 4 || text.includes('/')) return { prefix: written, notes: [] }
  const prefix = widen(written, SOURCE_BITS[6])
  const note = `${text} was widened to its /64, since one host has all of it; "${text}/128" is the address alone`
  return { prefix, notes: [note] }
}

function parse(text: string): Prefix {
  try {
    return parsePrefix(text)
  } catch (error) {
    throw new Failure(EXIT.usage, (error as Error).message)
  }
}

function scopeOf({ policy }: BanState, service: string | undefined): string {
  const scopes = [ALL_PORTS, ...policy.services.map(({ name }) => name)]
  if (service === undefined) return ALL_PORTS
  if (scopes.includes(service)) return service
  throw new Failure(EXIT.usage, `there is no service "${service}": ${scopes.join(', ')} are there`)
}

function isSame(a: Prefix, b: Prefix): boolean {
  return a.length === b.length && covers(a, b)
}

function bothOf({ enforced, watched }: BanState): Bans[] {
  return [enforced, watched]
}
