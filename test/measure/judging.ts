import type { OutcomeModel, Policy } from '../../src/config/policy.ts'
import { moveBounds } from '../../src/control/evidence/moved-bounds.ts'
import { judgeSession, type Outcome } from '../../src/control/evidence/outcome.ts'
import type { SshOpening } from '../../src/control/evidence/ssh-opening.ts'
import type { Session } from '../../src/control/sessions/session.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import { seeded } from '../record/random.ts'
import type { SessionRow, Truth } from './session-rows.ts'

/** Whether a run is of the half that the models are fitted on; the other half judges them. */
export function isFitted(run: number): boolean {
  return seeded(run * 7919 + 2026)() < 0.5
}

/** How many of the sessions with each truth were judged how. */
export type Confusion = Record<Truth, Record<Outcome, number>>

/** Judges each row with the model that `modelOf` has for it, and what is known of its TCP timestamps. */
export function confusionOf(
  rows: readonly SessionRow[],
  modelOf: (row: SessionRow) => OutcomeModel,
  timestampsOf = ({ timestamps }: SessionRow): boolean | undefined => timestamps === 1,
): Confusion {
  const none = () => ({ failed: 0, succeeded: 0, unclear: 0 })
  const confusion = { none: none(), failed: none(), succeeded: none() }
  for (const row of rows)
    confusion[row.truth][judgeSession(sessionOf(row, timestampsOf(row)), modelOf(row))]++
  return confusion
}

/**
 * A client that hangs up as soon as its login is accepted, before the server has said what it is good for: as small as a
 * refusal, so nothing can tell it. Only guessers were seen to do so.
 */
export function isCutShort({ name }: SessionRow): boolean {
  return name === 'hydra: right'
}

/** The kind of service that a measured session was with. */
export function kindOf({ kind, server, name }: SessionRow): OutcomeModel['kind'] {
  if (kind === 'ssh') return server.startsWith('dropbear') ? 'dropbear' : 'ssh'
  return name.includes('(25 ') ? 'smtp' : 'submission'
}

/** The models of `policies`, which have one service each, by kind, as they are for servers that begin so. */
export function modelsOf(
  policies: readonly Policy[],
  openings: ReadonlyMap<string, SshOpening>,
): (row: SessionRow) => OutcomeModel {
  const models = new Map(
    policies.map(({ services: [service] }) => [service!.outcome!.kind, service!.outcome!]),
  )
  return (row) => {
    const model = models.get(kindOf(row))!
    const opening = openings.get(row.server)
    return (model.kind === 'ssh' && opening && moveBounds(model, opening)) || model
  }
}

function sessionOf(row: SessionRow, hasTimestamps: boolean | undefined): Session {
  const address = parsePrefix(row.family === 4 ? '198.51.100.7' : '2001:db8::7')
  return {
    source: address,
    address,
    service: row.kind,
    durationMs: row.durationMs,
    hasTimestamps,
    toServer: { packets: row.packetsToServer, bytes: row.bytesToServer },
    toClient: { packets: row.packetsToClient, bytes: row.bytesToClient },
    isKnown: false,
  }
}

/** The interval that holds a share with 95 % certainty, of which `count` of `all` were seen (E. B. Wilson, 1927). */
export function wilson(count: number, all: number): [low: number, high: number] {
  if (all === 0) return [0, 1]
  const z = 1.96
  const share = count / all
  const middle = share + z ** 2 / (2 * all)
  const spread = z * Math.sqrt((share * (1 - share)) / all + z ** 2 / (4 * all ** 2))
  return [middle - spread, middle + spread].map((each) =>
    Math.min(1, Math.max(0, each / (1 + z ** 2 / all))),
  ) as [number, number]
}
