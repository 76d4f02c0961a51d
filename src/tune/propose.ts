import type { Limit, Policy, Service } from '../config/policy.ts'
import { LIMIT_KINDS, type LimitKind } from '../path/compile.ts'
import { widened } from './ladders.ts'

/** A wider limit holds this many of the narrower: one source at its limit must not use up what its neighbours share. */
const ROOM = 3

/** What takes a real flood to use up, as for ssh in rules/sluice.yaml. */
const LEAST_TOTAL: Limit = { burst: 200, ratePerSecond: 10 }

/**
 * Where a proposed limit comes from: measured on honest traffic; kept from the policy; raised above that,
 * to hold what honest traffic needs and several of the narrower limit; or there is none.
 */
export type Basis = 'measured' | 'kept' | 'raised' | 'none'

export interface LimitProposal {
  readonly kind: LimitKind
  /** As the policy has it. */
  readonly now: Limit | undefined
  readonly limit: Limit | undefined
  readonly basis: Basis
  /** Whether honest traffic said enough for a limit of its own. */
  readonly isKnown: boolean
}

/** What the honest traffic to one service needs; `undefined` where no policy can hold it. */
export interface Needs {
  readonly source: Limit
  readonly network: Limit | undefined
  readonly total: Limit | undefined
  /** Kinds of which there is enough honest traffic to propose a limit; others are only raised. */
  readonly known: ReadonlySet<LimitKind>
}

/** Limits that let through what `service` needs, each with room for several of the narrower one. */
export function proposeLimits(service: Service, needs: Needs): LimitProposal[] {
  let inner: Limit | undefined
  return LIMIT_KINDS.map((kind) => {
    const now = service.limits[kind]
    const wanted = wantedLimit(kind, now, needs)
    const isKnown = needs.known.has(kind)
    if (wanted === undefined) return { kind, now, limit: undefined, basis: 'none', isKnown }
    const limit = inner === undefined ? wanted : widened(wanted, inner, ROOM)
    inner = limit
    const basis = limit === now ? 'kept' : isKnown ? 'measured' : 'raised'
    return { kind, now, limit, basis, isKnown }
  })
}

/**
 * A total is never tightened: honest traffic shows how much a service must let in, not how little. With a
 * tight one, a trickle from forged addresses locks everybody out.
 */
function wantedLimit(kind: LimitKind, now: Limit | undefined, needs: Needs): Limit | undefined {
  const need = needs[kind]
  if (need === undefined) return now
  if (!needs.known.has(kind)) return now && widened(now, need, 1)
  return kind === 'total' ? widened(now ?? LEAST_TOTAL, need, 1) : need
}

/** The limits of a service of which honest traffic says nothing: as they are. */
export function keepLimits({ limits }: Service): LimitProposal[] {
  return LIMIT_KINDS.map((kind) => {
    const limit = limits[kind]
    return { kind, now: limit, limit, basis: limit === undefined ? 'none' : 'kept', isKnown: false }
  })
}

/** The limits that `proposals` come to. Nobody is known good to them: they are those of strangers. */
export function limitsOf(proposals: readonly LimitProposal[]): Service['limits'] {
  const limitOf = (kind: LimitKind) => proposals.find((proposal) => proposal.kind === kind)?.limit
  return { source: limitOf('source'), network: limitOf('network'), total: limitOf('total') }
}

/**
 * `policy` with other limits. All of it is enforced, since the question is what it does, not whether it is
 * trusted yet.
 *
 * @param isWhole without it failed logins are left out: their bans would hide what the limits have to hold
 */
export function enforcedWith(
  policy: Policy,
  limitsFor: (service: Service) => Service['limits'],
  isWhole: boolean,
): Policy {
  const services = policy.services.map((service): Service => {
    const outcome = isWhole ? service.outcome : undefined
    return { ...service, mode: 'enforce', limits: limitsFor(service), outcome }
  })
  return { ...policy, mode: 'enforce', services }
}
