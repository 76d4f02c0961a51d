import type { ReverseRateState } from '../../path/dns/reverse-rate.ts'
import type { Log } from '../log/log.ts'

/** The reverse queries of the host: those of all path threads together. */
export function hostReverseRate(rates: readonly ReverseRateState[]): ReverseRateState {
  const sum = (pick: (rate: ReverseRateState) => number) =>
    rates.reduce((total, rate) => total + pick(rate), 0)
  return {
    isFlooded: rates.some(({ isFlooded }) => isFlooded),
    perSecond: sum(({ perSecond }) => perSecond),
    level: sum(({ level }) => level),
    threshold: sum(({ threshold }) => threshold),
    sinceMs: Math.max(...rates.map(({ sinceMs }) => sinceMs)),
    floods: sum(({ floods }) => floods),
  }
}

/** Logs when a flood of reverse queries begins and ends, as the path threads see it. */
export class ReverseFloods {
  #begunMs: number | undefined
  #most = 0

  /** Looks at the state of now; to be called about once a second. */
  look(rates: readonly ReverseRateState[], log: Log, nowMs: number): void {
    const { isFlooded, perSecond, threshold, sinceMs } = hostReverseRate(rates)
    this.#most = Math.max(this.#most, perSecond)
    if (isFlooded && this.#begunMs === undefined) {
      this.#begunMs = sinceMs
      this.#most = perSecond
      log.warn(
        'reverse-flood',
        `a flood of reverse DNS queries: more than ${Math.round(threshold)} a second; until it ends only sources ` +
          'known to be good are answered (dns.flood.usual, if this is usual here)',
      )
    } else if (!isFlooded && this.#begunMs !== undefined) {
      const seconds = Math.round((nowMs - this.#begunMs) / 1000)
      this.#begunMs = undefined
      log.info(
        'reverse-flood',
        `the flood of reverse DNS queries is over after ${seconds} s; at most ${Math.round(this.#most)} came in a second`,
      )
    }
  }
}
