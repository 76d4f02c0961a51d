import type { Service } from '../../config/policy.ts'
import { formatPrefix, type Prefix } from '../../net/prefix.ts'
import type { Judging } from '../evidence/ssh-servers.ts'
import { endOf } from '../evidence/trust.ts'
import { handshakesNeeded } from '../sessions/proofs.ts'
import type { DaemonState } from '../state.ts'
import type { ServiceEvidence, SessionExplanation } from './explain-report.ts'
import { clockTime } from './rows.ts'

type EvidenceState = Pick<DaemonState, 'policy' | 'proofs' | 'evidence' | 'servers' | 'now'>

/** What `source` has shown to one service. */
export function explainEvidence(state: EvidenceState, source: Prefix, service: Service): ServiceEvidence {
  const { proof, proofWindowMs } = state.policy.ban
  return {
    handshakes: {
      count: state.proofs.count(source),
      needed: proof === 'none' ? 0 : handshakesNeeded(service, proofWindowMs),
    },
    failures: failures(state, source, service),
    trust: trust(state, source, service),
    judging: service.outcome === undefined ? null : inWords(state.servers.judgingOf(service)),
  }
}

function inWords({ model, why }: Judging): string {
  if (model === undefined || !('leastBytes' in model) || model.failedBytes < model.leastBytes) return why
  return `${why}: failed from ${model.leastBytes} to ${model.failedBytes} bytes of the server's`
}

function failures({ evidence }: EvidenceState, source: Prefix, service: Service) {
  const reading = evidence.failuresOf(source, service)
  if (reading === undefined) return null
  const { tries, nextMs, forgivable } = reading
  return {
    tries,
    needed: service.failures!.tries,
    nextForgottenInSeconds: Math.ceil(nextMs / 1000),
    forgivable,
  }
}

function trust({ evidence, now }: EvidenceState, source: Prefix, { name }: Service) {
  const trusted = evidence.trust?.of(source, name)
  if (trusted === undefined) return null
  const { successes, sinceMs, lastMs } = trusted
  const nowMs = now()
  return {
    isKnownGood: endOf(trusted) > nowMs,
    successes,
    since: clockTime(sinceMs, nowMs),
    last: clockTime(lastMs, nowMs),
    until: clockTime(endOf(trusted), nowMs),
  }
}

/** The last sessions of `source`, oldest first. */
export function explainSessions({ evidence, now }: EvidenceState, source: Prefix): SessionExplanation[] {
  return evidence.recent.of(formatPrefix(source)).map(({ session, outcome, tries, atMs }) => ({
    at: clockTime(atMs, now()),
    address: formatPrefix(session.address),
    service: session.service,
    outcome,
    tries: outcome === 'failed' ? tries : null,
    durationSeconds: Math.round(session.durationMs) / 1000,
    toServer: session.toServer,
    toClient: session.toClient,
  }))
}
