import type { Policy, Service } from '../../config/policy.ts'
import { around } from '../../net/around.ts'
import { covers, formatPrefix, type Prefix, parsePrefix } from '../../net/prefix.ts'
import type { Offence } from '../bans/bans.ts'
import { counted } from '../counted.ts'
import type { Log } from '../log/log.ts'
import { roughDuration } from '../rough-duration.ts'
import type { Session } from '../sessions/session.ts'
import { FailingNetworks } from './failing-networks.ts'
import { type FailureReading, Failures } from './failures.ts'
import type { Outcome } from './outcome.ts'
import { RecentSessions } from './recent-sessions.ts'
import type { Trust } from './trust.ts'

/** A network that holds more sources known good is left alone: it belongs to them. */
const HOLES_MAX = 8

export interface EvidenceOptions {
  /** `undefined`: nobody is known good. */
  readonly trust: Trust | undefined
  readonly log: Pick<Log, 'info'>
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** What the sessions of a service have come to, since the start. */
export interface EvidenceCounts {
  readonly sessions: Record<Outcome, number>
  tries: number
  /** Sources that were offenders by their failures, and networks by those of their parts. */
  sources: number
  networks: number
}

/**
 * What sessions say about who is behind them. Failures make offenders of sources and of networks; successes
 * take failures back and make sources known good; unclear sessions say nothing. A SYN may be forged, and
 * proves nothing of this; a session is between two that have talked.
 */
export class Evidence {
  readonly trust: Trust | undefined
  /** What is held against sources, by source and service. */
  readonly failures = new Failures()
  /** What is held against networks. */
  readonly networks = new FailingNetworks()
  readonly recent = new RecentSessions()
  readonly #counts = new Map<string, EvidenceCounts>()
  readonly #options: EvidenceOptions

  constructor(options: EvidenceOptions) {
    this.#options = options
    this.trust = options.trust
  }

  /**
   * Takes in a session that is over, or that has succeeded and goes on. One that has succeeded counts once, however often it
   * is told of.
   *
   * @param tries how many a failed one held, where that can be told
   * @returns what must be punished for it
   */
  take(session: Session, outcome: Outcome, tries: number, policy: Policy): Offence[] {
    const { source, service: name } = session
    const service = policy.services.find((each) => each.name === name)
    if (service === undefined) return []
    const isNew = !session.isKnown || outcome !== 'succeeded'
    if (isNew) {
      this.countsOf(name).sessions[outcome]++
      this.recent.add({ session, outcome, tries, atMs: this.#options.now() })
    }
    if (outcome === 'succeeded') this.#succeed(source, service, isNew)
    return outcome === 'failed' ? this.#fail(source, service, tries, policy) : []
  }

  /** Notes that `source` has offended otherwise. @returns what must be punished in its network for that */
  offended(source: Prefix, name: string, policy: Policy): Offence[] {
    const service = policy.services.find((each) => each.name === name)
    return service === undefined ? [] : this.#failNetwork(source, service, policy)
  }

  /** What is held against `source`; `undefined`: failures at `service` are not counted. */
  failuresOf(source: Prefix, { name, failures }: Service): FailureReading | undefined {
    return failures && this.failures.read(keyOf(source, name), failures, this.#options.now())
  }

  /**
   * Holds nothing against the sources in `prefix` any more, nor against networks in it.
   *
   * @returns the failed logins that were held against each source, by its text
   */
  pardon(prefix: Prefix, services: readonly Service[]): Map<string, number> {
    const held = new Map<string, number>()
    for (const key of [...this.failures.keys()]) {
      const [text = '', name = ''] = key.split(' ')
      const service = services.find((each) => each.name === name)
      const source = parsePrefix(text)
      if (service?.failures === undefined || !covers(prefix, source)) continue
      const { tries } = this.failures.read(key, service.failures, this.#options.now())
      this.failures.clear(key)
      this.networks.succeed(source, name)
      if (tries > 0) held.set(text, (held.get(text) ?? 0) + tries)
    }
    for (const { name } of services) this.networks.clear(prefix, name)
    return held
  }

  countsOf(service: string): EvidenceCounts {
    const known = this.#counts.get(service)
    if (known !== undefined) return known
    const counts = { sessions: { failed: 0, succeeded: 0, unclear: 0 }, tries: 0, sources: 0, networks: 0 }
    this.#counts.set(service, counts)
    return counts
  }

  #succeed(source: Prefix, { name, failures, limits }: Service, isNew: boolean): void {
    if (failures !== undefined) this.failures.forgive(keyOf(source, name), failures, this.#options.now())
    this.networks.succeed(source, name)
    if (limits.known === undefined) return
    if (isNew) this.trust?.succeed(source, name)
    else this.trust?.goOn(source, name)
  }

  #fail(source: Prefix, service: Service, tries: number, policy: Policy): Offence[] {
    const { name, failures } = service
    if (failures === undefined) return []
    this.countsOf(name).tries += tries
    const held = this.failures.fail(keyOf(source, name), tries, failures, this.#options.now())
    const wasKnown = this.trust?.has(source, name) ?? false
    if (held < failures.tries) return wasKnown ? [] : this.#failNetwork(source, service, policy)
    if (wasKnown && this.#loseTrust(source, service, held)) return []
    this.failures.clear(keyOf(source, name))
    this.countsOf(name).sources++
    const reason = `${counted(held, 'failed login')}`
    return [
      { source, service: name, reason, proof: 'handshake' },
      ...this.#failNetwork(source, service, policy),
    ]
  }

  /** Who belongs loses his trust before he is banned. @returns whether that is all, this time */
  #loseTrust(source: Prefix, { name, failures }: Service, held: number): boolean {
    const { log, now } = this.#options
    this.trust!.lose(source, name)
    const text = formatPrefix(source)
    log.info('trust-lost', `${text} is no longer known good to ${name}: ${counted(held, 'failed login')}`, {
      source: text,
      service: name,
    })
    return this.failures.forgive(keyOf(source, name), failures!, now()) === 0
  }

  #failNetwork(source: Prefix, { name }: Service, policy: Policy): Offence[] {
    if (policy.networks === undefined) return []
    const network = this.networks.fail(source, name, policy.networks, this.#options.now())
    if (network === undefined) return []
    const holes = this.trust?.inside(network, name) ?? []
    const { sources, memoryMs } = policy.networks
    const parts = `${sources} parts of ${formatPrefix(network)} offended within ${roughDuration(memoryMs)}`
    if (holes.length > HOLES_MAX) {
      const why = `it holds ${holes.length} sources known good`
      this.#options.log.info('network-spared', `${parts}, and it is not banned from ${name}: ${why}`)
      return []
    }
    this.countsOf(name).networks++
    const reason =
      holes.length === 0 ? parts : `${parts}; not banned in it: ${holes.map(formatPrefix).join(', ')}`
    return around(network, holes).map((prefix) => ({
      source: prefix,
      service: name,
      reason,
      proof: 'handshake',
    }))
  }
}

function keyOf(source: Prefix, service: string): string {
  return `${formatPrefix(source)} ${service}`
}
