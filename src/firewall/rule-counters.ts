import type { Family } from '../net/prefix.ts'
import type { LiveFamily } from './tables.ts'

/**
 * Packets that the NFQUEUE rules matched, by queue number, over both families: with those that passed since
 * nobody listened or the queue was full, which no counter of the queue shows. Never goes back: a rewritten
 * chain starts from zero, and what it had counted is kept here.
 */
export class RuleCounters {
  readonly #kept = new Map<number, number>()
  readonly #live = new Map<Family, Map<number, number>>()

  /** Takes in what the rules show now. A counter that went back was reset by somebody. */
  observe(family: Family, live: LiveFamily): void {
    const now = packetsByQueue(live)
    for (const [queue, before] of this.#live.get(family) ?? []) {
      if ((now.get(queue) ?? 0) < before) add(this.#kept, queue, before)
    }
    this.#live.set(family, now)
  }

  /** Takes in what rules that have just been replaced had counted. */
  retire(family: Family, replaced: LiveFamily): void {
    this.observe(family, replaced)
    for (const [queue, packets] of this.#live.get(family) ?? []) add(this.#kept, queue, packets)
    this.#live.delete(family)
  }

  totals(): Map<number, number> {
    const totals = new Map(this.#kept)
    for (const live of this.#live.values()) {
      for (const [queue, packets] of live) add(totals, queue, packets)
    }
    return totals
  }
}

function packetsByQueue(live: LiveFamily): Map<number, number> {
  const result = new Map<number, number>()
  const rules = [...(live.mangle.rules ?? []), ...(live.mangleOutput.rules ?? [])]
  for (const { text, packets } of rules) {
    const queue = /-j NFQUEUE --queue-num (\d+)/.exec(text)?.[1]
    if (queue !== undefined) add(result, Number(queue), packets)
  }
  return result
}

function add(counts: Map<number, number>, queue: number, packets: number): void {
  counts.set(queue, (counts.get(queue) ?? 0) + packets)
}
