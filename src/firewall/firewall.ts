import type { Policy } from '../config/policy.ts'
import { type Family, formatPrefix, type Prefix } from '../net/prefix.ts'
import { describeFirewall } from './describe.ts'
import { findIptables, findIptablesInUse, type Iptables, readLive, replaceRules } from './iptables.ts'
import { type Lack, lackNotes, mayLackExtension, OTHERS_TRACK, WITHOUT } from './lacking.ts'
import { allowSetName, chainsOf } from './names.ts'
import { RuleCounters } from './rule-counters.ts'
import { type Extensions, type FamilyRules, firewallRules } from './rules.ts'
import { discardSets, ensureSets, ownSets, setAllowedSources, setSizes } from './sets.ts'
import { shardConstant } from './shard.ts'
import { switchBack, switchOn, switchProblems } from './sysctls.ts'
import { damage, type LiveFamily, rulesOf } from './tables.ts'
import { removeRules, takeDown } from './take-down.ts'

/** What `verify` saw. */
export interface Verification {
  /** What is missing or was changed by others, in words; empty when all is in place. */
  readonly problems: readonly string[]
  /**
   * Packets that our NFQUEUE rules matched since `up`, by queue number. Includes those that passed unseen
   * (nobody listening, queue full). Never goes back, whoever rewrites the chains.
   */
  readonly queuePackets: ReadonlyMap<number, number>
  /** Entries of each set of ours, by name: fewer than the ban ledger expects means that somebody flushed it. */
  readonly setSizes: ReadonlyMap<string, number>
}

/** What `repair` did. */
export interface Repair {
  /** What was wrong; empty: nothing was done. */
  readonly problems: readonly string[]
  /** Ban and allow sets that had to be made anew. The allow sets are filled again, the ban sets are empty. */
  readonly recreatedSets: readonly string[]
}

/** One family of the host, with the rules that its iptables-save is expected to show. */
interface Place {
  readonly tool: Iptables
  readonly expected: FamilyRules
}

/**
 * The chains and sets of one policy on this host. Its asynchronous methods may be called at any time: each
 * waits for the ones before it. All of them throw Failure: noPermission, unavailable when a tool or a part
 * of the kernel is missing, inUse when the xtables lock stays taken, osError.
 */
export class Firewall {
  #policy: Policy
  #allowed: readonly Prefix[]
  #places: readonly Place[] | undefined
  #isSuspended = false
  readonly #counters = new RuleCounters()
  /** Families whose chains are without some rules, and why. */
  readonly #lacking = new Map<Family, Lack>()
  #switchNotes: readonly string[] = []
  readonly #shardConstant = shardConstant()
  #last: Promise<unknown> = Promise.resolve()

  /** `allowed`: what the allow sets are to hold; by default the policy's own list. Nothing is done yet. */
  constructor(policy: Policy, allowed: readonly Prefix[] = policy.allow) {
    this.#policy = policy
    this.#allowed = allowed
  }

  /**
   * Puts sets and chains in place, in one restore per family. Does no harm where they are there already.
   * Ban sets that exist keep their entries. When it fails, all is as it was before.
   */
  up(): Promise<void> {
    return this.#exclusive(() => this.#install(this.#policy))
  }

  /**
   * Goes over to `policy`: its sets first, then the rules at one stroke, and at the end the sets that no
   * rule needs any more. When it fails, the old policy's rules stand as before.
   */
  apply(policy: Policy): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#isSuspended) this.#policy = policy
      else await this.#install(policy)
    })
  }

  /** Removes everything until `resume`: what is applied meanwhile is put in place then. */
  suspend(): Promise<void> {
    return this.#exclusive(async () => {
      this.#isSuspended = true
      this.#places = undefined
      await takeDown({ keepBans: false })
    })
  }

  /** Puts in place what `suspend` has removed. When it fails, nothing is in place. */
  resume(): Promise<void> {
    return this.#exclusive(async () => {
      await this.#install(this.#policy)
      this.#isSuspended = false
    })
  }

  /** Removes every chain, jump and set of ours: see `takeDown`, which needs no policy and no instance. */
  down(options: { keepBans: boolean }): Promise<string[]> {
    return this.#exclusive(() => takeDown(options))
  }

  /** Makes the allow sets hold exactly `allowed`, changing only what differs. */
  setAllowed(allowed: readonly Prefix[]): Promise<void> {
    return this.#exclusive(async () => {
      for (const { tool } of this.#places ?? []) setAllowedSources(tool.family, allowed)
      this.#allowed = allowed
    })
  }

  /** Compares the host with what should be there. Without `up` before it: with what `up` would put there. */
  verify(): Promise<Verification> {
    return this.#exclusive(async () => {
      const { problems, sizes } = await this.#inspect()
      return { problems, queuePackets: this.#counters.totals(), setSizes: sizes }
    })
  }

  /** Puts back what `verify` would complain about. Ban entries are put back by whoever keeps the ledger. */
  repair(): Promise<Repair> {
    return this.#exclusive(async () => {
      const { problems, damaged } = await this.#inspect()
      if (problems.length === 0) return { problems, recreatedSets: [] }
      const tools = (await this.#expectedPlaces()).map(({ tool }) => tool)
      const recreatedSets = ensureSets(tools.flatMap(({ family }) => ownSets(this.#policy, family)))
      for (const { family } of tools) setAllowedSources(family, this.#allowed)
      this.#switchNotes = switchOn()
      for (const tool of damaged) {
        this.#counters.retire(tool.family, await this.#write(this.#policy, tool))
      }
      return { problems, recreatedSets }
    })
  }

  /** Lines for people: back end, chains, sets and queues. Empty before `up`. */
  describe(): string[] {
    return this.#places === undefined
      ? []
      : describeFirewall(
          this.#policy,
          this.#places.map(({ tool }) => tool),
        )
  }

  /** What this host does not give, and what that means, in words. Empty before `up`. */
  notes(): string[] {
    return [...lackNotes([...this.#lacking.values()]), ...this.#switchNotes]
  }

  async #install(policy: Policy): Promise<void> {
    const tools = await findIptables(policy.firewall.backend)
    const sets = tools.flatMap(({ family }) => ownSets(policy, family))
    const created = ensureSets(sets)
    // Before the rules: a CT rule written while the kernel makes no events for anybody asks for none.
    switchOn()
    const replaced: { tool: Iptables; live: LiveFamily }[] = []
    let places: Place[]
    try {
      for (const { family } of tools) setAllowedSources(family, this.#allowed)
      for (const tool of tools) {
        replaced.push({ tool, live: await this.#write(policy, tool) })
      }
      places = await Promise.all(tools.map((tool) => asPrinted(tool, this.#rules(policy, tool))))
      await removeRules(
        (await findIptablesInUse()).filter(({ kind }) => !tools.some((tool) => tool.kind === kind)),
      )
    } catch (error) {
      // The first failure is the one to tell; what cannot be undone, `down` removes.
      await Promise.allSettled(replaced.map(({ tool, live }) => replaceRules(tool, rulesOf(live))))
      discardSets(created)
      if (this.#places === undefined) switchBack()
      throw error
    }
    // Counts from before the first `up` are those of an earlier process.
    if (this.#places !== undefined) {
      for (const { tool, live } of replaced) this.#counters.retire(tool.family, live)
    }
    this.#policy = policy
    this.#places = places
    // Again: the rules may have brought conntrack into the kernel.
    this.#switchNotes = switchOn()
    const used = new Set(sets.map(({ name }) => name))
    discardSets([...setSizes().keys()].filter((name) => !used.has(name)))
  }

  async #inspect() {
    const sizes = setSizes()
    const problems: string[] = []
    const damaged: Iptables[] = []
    for (const { tool, expected } of await this.#expectedPlaces()) {
      const live = await readLive(tool)
      this.#counters.observe(tool.family, live)
      const broken = this.#damage(tool, live, expected)
      if (broken.length > 0) damaged.push(tool)
      problems.push(...broken.map((problem) => `IPv${tool.family}: ${problem}`))
      problems.push(...this.#setProblems(tool, sizes))
    }
    problems.push(...switchProblems())
    return { problems, damaged, sizes }
  }

  #damage({ family }: Iptables, live: LiveFamily, expected: FamilyRules): string[] {
    const broken = damage(live, expected)
    // Another process than the one that wrote the rules cannot know what the kernel lacks.
    if (this.#places !== undefined || broken.length === 0) return broken
    const isWithout = (given: Extensions) =>
      damage(live, firewallRules(this.#policy, family, this.#shardConstant, given)).length === 0
    return WITHOUT.some(isWithout) ? [] : broken
  }

  #setProblems({ family }: Iptables, sizes: ReadonlyMap<string, number>): string[] {
    const missing = ownSets(this.#policy, family)
      .filter(({ name }) => !sizes.has(name))
      .map(({ name }) => `set ${name} is missing`)
    const allow = allowSetName(family)
    const present = sizes.get(allow)
    const wanted = new Set(this.#allowed.filter((each) => each.family === family).map(formatPrefix)).size
    // Another process than the one that filled the set cannot know what it should hold.
    if (this.#places === undefined || present === undefined || present === wanted) return missing
    return [...missing, `set ${allow} has ${present} entries instead of ${wanted}`]
  }

  async #expectedPlaces(): Promise<readonly Place[]> {
    if (this.#places !== undefined) return this.#places
    const tools = await findIptables(this.#policy.firewall.backend)
    return tools.map((tool) => ({ tool, expected: this.#rules(this.#policy, tool) }))
  }

  #rules(policy: Policy, { family }: Iptables): FamilyRules {
    return firewallRules(policy, family, this.#shardConstant, this.#lacking.get(family)?.given)
  }

  /** Without the rules that the kernel has no extension for: they spare work, no more. */
  async #write(policy: Policy, tool: Iptables): Promise<LiveFamily> {
    const { family } = tool
    const live = await readLive(tool)
    this.#lacking.delete(family)
    if (live.raw.hasForeignTracking) this.#lacking.set(family, OTHERS_TRACK)
    try {
      return await replaceRules(tool, this.#rules(policy, tool))
    } catch (error) {
      if (!mayLackExtension(error)) throw error
      for (const given of WITHOUT) {
        if (live.raw.hasForeignTracking && given.marksEvents) continue
        this.#lacking.set(family, { given, reason: error.message })
        const replaced = await replaceRules(tool, this.#rules(policy, tool)).catch(() => undefined)
        if (replaced !== undefined) return replaced
      }
      throw error
    }
  }

  #exclusive<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#last.then(operation)
    this.#last = result.catch(() => {})
    return result
  }
}

/**
 * The tools of other versions may print a rule otherwise than we write it. What counts as unchanged is
 * therefore what they print right after it was written, unless a rule is missing already.
 */
async function asPrinted(tool: Iptables, written: FamilyRules): Promise<Place> {
  const printed = rulesOf(await readLive(tool))
  const isWhole = chainsOf().every((chain) => (printed[chain]?.length ?? 0) === written[chain].length)
  return { tool, expected: isWhole ? { ...written, ...printed } : written }
}
