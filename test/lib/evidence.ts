import type { Policy } from '../../src/config/policy.ts'
import { Evidence } from '../../src/control/evidence/evidence.ts'
import type { Outcome } from '../../src/control/evidence/outcome.ts'
import { Trust } from '../../src/control/evidence/trust.ts'
import { formatPrefix, type Prefix, parsePrefix, widen } from '../../src/net/prefix.ts'
import { KnownGood } from '../../src/path/known-good.ts'
import { ServiceSlots } from '../../src/path/service-slots.ts'

const MINUTE = 60_000

/** Evidence under `policy` in which time is a number, and sessions are what a test says. */
export class VirtualEvidence {
  nowMs = 10 * MINUTE
  readonly policy: Policy
  readonly known: KnownGood
  readonly trust: Trust
  readonly evidence: Evidence
  readonly slots = new ServiceSlots()
  /** What the log was told, by event. */
  readonly events: string[] = []

  /** `known`: of a path under the same policy. */
  constructor(policy: Policy, known = new KnownGood(KnownGood.create())) {
    this.policy = policy
    this.known = known
    this.slots.update(policy.services.map(({ name }) => name))
    const now = () => this.nowMs
    const slotOf = (service: string) => this.slots.slotOf(service)
    this.trust = new Trust({ policy: policy.trust!, known: this.known, slotOf, now })
    const log = { info: (event: string) => void this.events.push(event) }
    this.evidence = new Evidence({ trust: this.trust, log, now })
  }

  /** A session from `from`. @returns the prefixes that must be punished for it */
  session(from: string, outcome: Outcome, { service = 'ssh', tries = 1, isKnown = false } = {}): string[] {
    const address = parsePrefix(from)
    const nothing = { packets: 0, bytes: 0 }
    const session = {
      source: sourceOf(address),
      address,
      service,
      durationMs: 1000,
      hasTimestamps: true,
      toServer: nothing,
      toClient: nothing,
      isKnown,
    }
    return this.evidence.take(session, outcome, tries, this.policy).map(({ source }) => formatPrefix(source))
  }

  /** Failed sessions of one try each, one every `everyMs`, until one is punished. @returns how many, and what is punished */
  guess(from: (i: number) => string, everyMs: number, most: number): { tries: number; punished: string[] } {
    for (let i = 0; i < most; i++) {
      const punished = this.session(from(i), 'failed')
      if (punished.length > 0) return { tries: i + 1, punished }
      this.nowMs += everyMs
    }
    return { tries: most, punished: [] }
  }

  isKnown(from: string, service = 'ssh'): boolean {
    return this.trust.has(sourceOf(parsePrefix(from)), service)
  }
}

function sourceOf(address: Prefix): Prefix {
  return address.family === 4 ? address : widen(address, 64)
}
