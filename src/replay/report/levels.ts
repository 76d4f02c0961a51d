import type { Policy, Service } from '../../config/policy.ts'
import { formatPrefix } from '../../net/prefix.ts'
import { networkBits } from '../../path/bucket-keys.ts'
import { LIMIT_KINDS, type LimitKind } from '../../path/compile.ts'
import { sourcePrefix } from '../../path/source-ring.ts'
import { REFUSING_LIMIT } from '../bucket-rows.ts'
import type { Judgement, Observer } from '../observer.ts'
import { Trace } from './trace.ts'
import { WatchList } from './watch-list.ts'

/** The buckets that attempts of a source at a service draw from; a limit that there is not has none. */
export type SourceTraces = Partial<Record<LimitKind, Trace>>

/**
 * Levels of the buckets of those sources that are refused most, told as if the path's tables forgot none.
 * One pass must do, since a capture may come from a pipe: many sources are watched, and a few are shown.
 */
export class Levels implements Observer {
  readonly #sources = new WatchList<SourceTraces>()
  readonly #networks = new WatchList<SourceTraces>()
  readonly #totals: ReadonlyMap<string, SourceTraces>

  constructor({ services }: Policy) {
    this.#totals = new Map(services.map((service) => [service.name, traceOf(service, 'total')]))
  }

  judged({ attempt: { view, elapsedMs }, service, reason }: Judgement): void {
    const refusing = REFUSING_LIMIT[reason]
    if (reason !== 'within-limit' && refusing === undefined) return
    const isRefused = refusing !== undefined
    const { name } = service
    const source = formatPrefix(sourcePrefix(view.family, view.sourceHigh, view.sourceLow))
    const network = `${view.family} ${view.sourceHigh} ${networkBits(view)}`
    const traces = this.#sources.see(keyOf(source, name), isRefused, () => traceOf(service, 'source'))
    const shared = this.#networks.see(keyOf(network, name), isRefused, () => traceOf(service, 'network'))
    Object.assign(traces, shared, this.#totals.get(name))
    if (isRefused) traces[refusing]?.refuse(elapsedMs)
    else for (const kind of LIMIT_KINDS) traces[kind]?.take(elapsedMs)
  }

  /** `undefined` for a source that is not watched. @param source as `formatPrefix` writes it */
  of(source: string, service: string): SourceTraces | undefined {
    return this.#sources.get(keyOf(source, service))
  }
}

function keyOf(who: string, service: string): string {
  return `${who} ${service}`
}

function traceOf({ limits }: Service, kind: LimitKind): SourceTraces {
  const limit = limits[kind]
  return limit === undefined ? {} : { [kind]: new Trace(limit) }
}
