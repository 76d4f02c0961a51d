import type { BanPolicy, Mode } from '../../config/policy.ts'
import { banSetName } from '../../firewall/names.ts'
import { covers, type Family, formatPrefix, type Prefix, parsePrefix } from '../../net/prefix.ts'
import type { Log } from '../log/log.ts'
import { roughDuration } from '../rough-duration.ts'
import type { Ban, Proof } from './ban.ts'
import { type AddOutcome, BanLedger } from './ban-ledger.ts'
import type { BanSets } from './ban-sets.ts'
import { ALL_PORTS, sentence } from './escalation.ts'
import { Offenders } from './offenders.ts'

const FAMILIES: readonly Family[] = [4, 6]

/** A source that collected the strikes at which `service` bans. */
export interface Offence {
  readonly source: Prefix
  readonly service: string
  readonly reason: string
  /** What shows that the source's packets came from its address. */
  readonly proof: Proof
}

export interface BansOptions {
  readonly mode: Mode
  readonly sets: BanSets
  readonly policy: BanPolicy
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
  /** Called with the bans given just now. */
  readonly onBanned: (bans: readonly Ban[]) => void
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** A number from 0 to 1. */
  readonly random: () => number
}

/**
 * Turns offences into bans: one instance bans in the kernel, another writes down what services in shadow
 * mode would have done.
 */
export class Bans {
  readonly mode: Mode
  readonly ledger: BanLedger
  /** Bans given since the start, by service (or scope, where a person gave them) and family. */
  readonly given: { service: string; family: Family; count: number }[] = []
  /** While it is, nobody is banned. */
  isSuspended = false
  /** Bans that gave way to others since a set was full. */
  evictions = 0
  /** Bans that a set has not taken at once. */
  refusals = 0
  readonly offenders: Offenders
  readonly #options: BansOptions
  #policy: BanPolicy

  constructor(options: BansOptions) {
    const { mode, sets, policy, now } = options
    this.#options = options
    this.mode = mode
    this.#policy = policy
    this.ledger = new BanLedger({ sets, maxEntries: policy.maxEntries, now })
    this.offenders = new Offenders({ max: policy.maxEntries, memoryMs: policy.memoryMs, now })
  }

  /** Changes how long bans last; the number of entries stays. */
  set policy(policy: BanPolicy) {
    this.#policy = policy
    this.offenders.memoryMs = policy.memoryMs
  }

  /**
   * Bans each source for as long as its history says. One that is banned there already offended with
   * packets that were on their way when the ban came: that is no second offence.
   */
  punish(offences: readonly Offence[]): void {
    if (this.isSuspended) return
    const bans: Ban[] = []
    const banned = new Set<string>()
    for (const { source, service, reason, proof } of offences) {
      const key = formatPrefix(source)
      if (banned.has(`${key} ${service}`) || banned.has(`${key} ${ALL_PORTS}`)) continue
      if (this.#isBanned(source, service)) continue
      const offence = this.offenders.offend(source)
      const { durationMs, scope } = sentence(this.#policy, offence, service, this.#options.random)
      const startMs = this.#options.now()
      const endMs = startMs + durationMs
      bans.push({ prefix: source, scope, startMs, endMs, offence, reason, origin: 'strikes', proof })
      banned.add(`${key} ${scope}`)
      this.#count(service, source.family)
    }
    this.#enforce(bans)
  }

  /** Bans `prefix` as a person has asked. Returns why the kernel has not taken it yet, if so. */
  banManually(prefix: Prefix, scope: string, durationMs: number, reason: string): string | undefined {
    const startMs = this.#options.now()
    const endMs = startMs + durationMs
    const offence = undefined
    this.#count(scope, prefix.family)
    const { refused } = this.#enforce([
      { prefix, scope, startMs, endMs, offence, reason, origin: 'manual', proof: 'manual' },
    ])
    return refused[0]?.code
  }

  /** Forgets the offences of the sources in `prefix`, itself among them. @returns how many each had, by its text */
  forget(prefix: Prefix): Map<string, number> {
    const forgotten = new Map<string, number>()
    for (const key of [...this.offenders.keys()]) {
      const source = parsePrefix(key)
      if (!covers(prefix, source)) continue
      forgotten.set(key, this.offenders.read(key)?.count ?? 0)
      this.offenders.forget(source)
    }
    return forgotten
  }

  /** Gives no bans until `isSuspended` ends, and forgets those in force; the caller empties the sets. Returns how many. */
  suspend(): number {
    this.isSuspended = true
    const lifted = this.ledger.list().length
    this.ledger.keepScopes([])
    return lifted
  }

  /** Lifts `bans` and forgets the offences of their sources. @throws NetlinkError */
  lift(bans: readonly Ban[]): void {
    this.ledger.remove(bans)
    for (const { prefix } of bans) this.offenders.forget(prefix)
  }

  /**
   * Takes over the bans that an earlier run left in the kernel. Each counts as a first offence.
   *
   * @param sizes entries of each set that exists.
   */
  adopt(scopes: readonly string[], sizes: ReadonlyMap<string, number>): Ban[] {
    const adopted = scopes.flatMap((scope) =>
      FAMILIES.filter((family) => sizes.has(banSetName(scope, family))).flatMap((family) =>
        this.ledger.adopt(scope, family),
      ),
    )
    for (const { prefix } of adopted) this.offenders.offend(prefix)
    return adopted
  }

  /**
   * Takes over bans of an earlier run. Those that the kernel still has get their history back. The others are put
   * back where the kernel is another than then; where it is the same, somebody has lifted them meanwhile.
   *
   * @returns how many were put back, and how many stay lifted.
   */
  recall(bans: readonly Ban[], isSameKernel: boolean): { restored: number; lifted: number } {
    if (this.isSuspended) return { restored: 0, lifted: bans.length }
    const missing = this.ledger.recall(bans)
    if (isSameKernel) return { restored: 0, lifted: missing.length }
    const { refused, evicted } = this.ledger.add(missing)
    this.evictions += evicted.length
    this.#reportRefused(refused)
    return { restored: missing.length - refused.length, lifted: 0 }
  }

  /** Puts back what sets have lost. @param sizes entries of each set that exists. @returns how many bans. */
  restore(sizes: ReadonlyMap<string, number>): number {
    const { restored, refused } = this.ledger.restore(sizes)
    this.#reportRefused(refused)
    return restored.length - refused.length
  }

  #enforce(bans: readonly Ban[]): AddOutcome {
    const outcome = this.ledger.add(bans)
    for (const ban of bans) this.#report(ban)
    for (const ban of outcome.evicted) this.#reportEvicted(ban)
    this.#reportRefused(outcome.refused)
    if (bans.length > 0) this.#options.onBanned(bans)
    return outcome
  }

  #isBanned(source: Prefix, service: string): boolean {
    return (this.ledger.find(source, service) ?? this.ledger.find(source, ALL_PORTS)) !== undefined
  }

  #count(service: string, family: Family): void {
    const row = this.given.find((each) => each.service === service && each.family === family)
    if (row !== undefined) row.count++
    else this.given.push({ service, family, count: 1 })
  }

  #report(ban: Ban): void {
    const source = formatPrefix(ban.prefix)
    const time = roughDuration(ban.endMs - ban.startMs)
    const ports = ban.scope === ALL_PORTS ? 'all ports' : ban.scope
    const nth = ban.offence === undefined ? '' : `offence ${ban.offence}, `
    const verb = this.mode === 'shadow' ? 'would ban' : 'banned'
    this.#options.log.info(
      this.mode === 'shadow' ? 'would-ban' : 'ban',
      `${verb} ${source} from ${ports} for ${time}: ${nth}${ban.reason}`,
      {
        source,
        scope: ban.scope,
        seconds: Math.ceil((ban.endMs - ban.startMs) / 1000),
        offence: ban.offence,
        origin: ban.origin,
        proof: ban.proof,
      },
    )
  }

  #reportEvicted(ban: Ban): void {
    this.evictions++
    const source = formatPrefix(ban.prefix)
    const left = roughDuration(ban.endMs - this.#options.now())
    const message = `the ban set of ${ban.scope} is full: lifted the ban of ${source}, which had ${left} left`
    this.#options.log.warn('ban-evicted', message, { source, scope: ban.scope })
  }

  #reportRefused(refused: AddOutcome['refused']): void {
    this.refusals += refused.length
    for (const { ban, code } of refused) {
      const source = formatPrefix(ban.prefix)
      const message = `the ban of ${source} is not in the kernel: ${code}; it stays limited, and sluice tries again`
      this.#options.log.error('ban-refused', message, { source, scope: ban.scope, code })
    }
  }
}
