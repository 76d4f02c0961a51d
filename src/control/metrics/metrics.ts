import { Counter, Gauge, Registry } from 'prom-client'
import { BATCH_SECONDS } from '../../path/counters.ts'
import type { DaemonState } from '../state.ts'
import { sumOver } from '../threads/path-totals.ts'
import { METRIC_FAMILIES } from './metric-families.ts'
import type { MetricFamily } from './metric-family.ts'

/**
 * The daemon's metrics in Prometheus' text format. Nothing is counted here: every scrape reads the counters
 * that the path threads and the daemon keep anyway.
 */
export class Metrics {
  readonly #registry = new Registry()
  readonly #state: DaemonState

  constructor(state: DaemonState) {
    this.#state = state
    for (const family of METRIC_FAMILIES) register(this.#registry, family, state)
  }

  async expose(): Promise<{ type: string; body: string }> {
    const body = await this.#registry.metrics()
    return { type: this.#registry.contentType, body: `${body}\n${batchHistogram(this.#state)}` }
  }
}

function register(registry: Registry, family: MetricFamily, state: DaemonState): void {
  const { name, help, labels = [], read } = family
  const options = { name, help, labelNames: [...labels], registers: [registry] }
  if (family.type === 'gauge') {
    new Gauge({
      ...options,
      collect() {
        this.reset()
        for (const { labels = {}, value } of read(state)) this.set(labels, value)
      },
    })
    return
  }
  new Counter({
    ...options,
    collect() {
      this.reset()
      for (const { labels = {}, value } of read(state)) this.inc(labels, value)
    },
  })
}

/** By hand: prom-client has no public way to set the buckets of a histogram that was counted elsewhere. */
function batchHistogram({ threads }: DaemonState): string {
  const name = 'sluice_batch_seconds'
  const counts = sumOver(threads, (counters) => counters.batchSeconds)
  let total = 0
  const buckets = [...BATCH_SECONDS.map(String), '+Inf'].map((bound, i) => {
    total += counts[i]!
    return `${name}_bucket{le="${bound}"} ${total}`
  })
  return [
    `# HELP ${name} Time from the receipt of a batch until its verdicts were sent.`,
    `# TYPE ${name} histogram`,
    ...buckets,
    `${name}_sum ${counts[BATCH_SECONDS.length + 1]}`,
    `${name}_count ${total}`,
    '',
  ].join('\n')
}
