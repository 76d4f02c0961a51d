import { addressBits, type Prefix } from '../net/prefix.ts'
import type { Attempt } from './attempt.ts'

/** An address that takes part in fewer of the attempts than this share is taken for a passer-by. */
const LEAST_SHARE = 0.01
const MOST_ADDRESSES = 64

/** Which addresses of a capture belong to the host that sluice would run on, as far as it tells. */
export interface Inference {
  readonly prefixes: readonly Prefix[]
  /** Attempts at service ports that were looked at. */
  readonly attempts: number
  /** Whether these were all; else the first. */
  readonly isWhole: boolean
  /** How many of them went to one of the addresses. */
  readonly inbound: number
}

interface Endpoint {
  readonly prefix: Prefix
  /** Attempts that went to it. */
  received: number
  /** Attempts that went to it or came from it, and that no chosen address explains yet. */
  involved: number
}

/**
 * Guesses the local addresses from attempts at service ports: the host that captured is one end of every
 * attempt, and it is the destination of some. Being the destination of many is not enough: a mail server
 * sends far more queries to its resolver than it receives logins.
 *
 * So the address that takes part in most attempts is local, then the one that takes part in most of the
 * others, and so on. Where that leaves a choice, it is the one that received more, or came first.
 */
export class LocalInference {
  readonly #endpoints = new Map<string, Endpoint>()
  readonly #attempts: { readonly from: string; readonly to: string }[] = []

  get isEmpty(): boolean {
    return this.#attempts.length === 0
  }

  see({ view, bytes, sourceAt, destinationAt }: Attempt): void {
    const { family } = view
    const length = addressBits(family)
    const source = bytes.slice(sourceAt, sourceAt + length / 8)
    const destination = bytes.slice(destinationAt, destinationAt + length / 8)
    const from = source.join()
    const to = destination.join()
    this.#attempts.push({ from, to })
    const endpoint = this.#endpoints.get(to)
    if (endpoint !== undefined) endpoint.received++
    else this.#endpoints.set(to, { prefix: { family, bytes: destination, length }, received: 1, involved: 0 })
  }

  /** @param isWhole whether no further attempts will come */
  infer(isWhole: boolean): Inference {
    const attempts = this.#attempts.length
    const chosen = new Map<string, Endpoint>()
    let open = this.#attempts
    while (open.length > 0 && chosen.size < MOST_ADDRESSES) {
      const [key, best] = this.#busiest(open)
      if (best.involved < attempts * LEAST_SHARE) break
      chosen.set(key, best)
      open = open.filter(({ from, to }) => from !== key && to !== key)
    }
    return {
      prefixes: [...chosen.values()].map(({ prefix }) => prefix),
      attempts,
      isWhole,
      inbound: this.#attempts.filter(({ to }) => chosen.has(to)).length,
    }
  }

  #busiest(open: readonly { from: string; to: string }[]): [string, Endpoint] {
    for (const endpoint of this.#endpoints.values()) endpoint.involved = 0
    for (const { from, to } of open) {
      for (const end of from === to ? [to] : [from, to]) {
        const endpoint = this.#endpoints.get(end)
        if (endpoint !== undefined) endpoint.involved++
      }
    }
    return [...this.#endpoints].reduce((best, each) => (isBusier(each[1], best[1]) ? each : best))
  }
}

function isBusier(a: Endpoint, b: Endpoint): boolean {
  return a.involved !== b.involved ? a.involved > b.involved : a.received > b.received
}
