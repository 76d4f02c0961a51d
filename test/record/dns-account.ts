import type { DnsPolicy, Limit } from '../../src/config/policy.ts'

/** A PTR query: when, the name, and whose. */
export interface ReverseQuery {
  readonly atS: number
  readonly name: string
  readonly source: string
  readonly network: string
}

type LimitsByKind = Readonly<Partial<Record<'source' | 'network' | 'total', Limit | undefined>>>

/** Takes a token from each bucket of `limits`, or from none and says which is empty. */
export type DrawTokens = (what: string, limits: LimitsByKind, query: ReverseQuery) => string | undefined

/** An empty bucket. */
const CLOSED: Limit = { burst: 0, ratePerSecond: 0 }

/** The names that a source, or a network, has asked for. */
interface Walk {
  readonly seen: Set<string>
  /** From one new name of a whole address to the next: whether it was one or two, and within one network. */
  readonly steps: { readonly isNear: boolean; readonly isWithin: boolean }[]
  partial: number
  last: bigint | undefined
  isSweep: boolean
}

/**
 * What a policy makes of reverse queries, with lists in place of the path's sketch, so that it agrees with it to a
 * few queries. It knows captures only that are much shorter than `sweep.within`: nothing fades, no flood ends
 * and nobody has been steady for ten minutes before one.
 */
export class DnsAccount {
  readonly #policy: DnsPolicy
  readonly #draw: DrawTokens
  readonly #walks = new Map<string, Walk>()
  #second = Number.NaN
  #inSecond = 0
  #isFlooded = false

  constructor(policy: DnsPolicy, draw: DrawTokens) {
    this.#policy = policy
    this.#draw = draw
  }

  /** Why the query is refused before its service is asked. */
  refusal(query: ReverseQuery): string | undefined {
    const { reverse, sweep } = this.#policy
    const found = [this.#walkOf(query.source), this.#walkOf(query.network)].map((walk, i) =>
      this.#follow(walk, query.name, i === 0 ? 1 : 4),
    )
    if (found.includes(true) && this.#draw('sweep', sweep!, query) !== undefined) return 'sweep'
    const wasFlooded = this.#isFlooded
    const limits = wasFlooded ? { ...reverse, total: CLOSED } : reverse
    const empty = this.#draw('reverse', limits, query)
    if (empty === undefined || empty === 'total') this.#count(query.atS)
    if (empty === undefined) return undefined
    return wasFlooded && empty === 'total' ? 'reverse-flood' : 'reverse-limit'
  }

  #count(atS: number): void {
    const { flood } = this.#policy
    this.#inSecond = Math.floor(atS) === this.#second ? this.#inSecond + 1 : 1
    this.#second = Math.floor(atS)
    if (flood && this.#inSecond > flood.factor * flood.usualPerSecond) this.#isFlooded = true
  }

  #walkOf(who: string): Walk {
    const walk = this.#walks.get(who) ?? {
      seen: new Set(),
      steps: [],
      partial: 0,
      last: undefined,
      isSweep: false,
    }
    this.#walks.set(who, walk)
    return walk
  }

  #follow(walk: Walk, name: string, factor: number): boolean {
    const { names, partial } = this.#policy.sweep!
    const isNew = !walk.seen.has(name)
    walk.seen.add(name)
    const address = addressIn(name)
    if (address === undefined) walk.partial += isNew ? 1 : 0
    else {
      if (isNew && walk.last !== undefined) walk.steps.push(step(walk.last, address, name))
      walk.last = address
    }
    const isMost = (share: (step: Walk['steps'][number]) => boolean) =>
      walk.steps.filter(share).length >= walk.steps.length * 0.6
    const isLong = walk.steps.length + 1 >= names * factor
    if (isLong && (isMost(({ isNear }) => isNear) || isMost(({ isWithin }) => isWithin))) walk.isSweep = true
    if (walk.partial >= partial * factor) walk.isSweep = true
    return walk.isSweep
  }
}

/** Below in-addr.arpa a /16 is a network, below ip6.arpa a /48. */
function step(last: bigint, address: bigint, name: string) {
  const distance = last > address ? last - address : address - last
  const hostBits = name.endsWith('ip6.arpa') ? 80n : 16n
  return { isNear: distance <= 2n, isWithin: last >> hostBits === address >> hostBits }
}

/** The address that a name means, if it is a whole one. */
function addressIn(name: string): bigint | undefined {
  const labels = name.split('.').slice(0, -2).reverse()
  if (name.endsWith('ip6.arpa')) return labels.length === 32 ? BigInt(`0x${labels.join('')}`) : undefined
  return labels.reduce((sum, octet) => sum * 256n + BigInt(octet), 0n)
}
