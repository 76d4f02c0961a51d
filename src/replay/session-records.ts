import type { Outcome } from '../control/evidence/outcome.ts'
import { RecentMap } from '../control/recent-map.ts'
import type { Session } from '../control/sessions/session.ts'
import { formatPrefix } from '../net/prefix.ts'
import type { Moment } from './moment.ts'

/** How many sessions ended how. */
export type SessionCounts = Record<Outcome, number>

/** The sessions of one source with one service. */
export interface SessionRecord extends SessionCounts {
  readonly source: string
  readonly service: string
  /** About how many logins the failed ones have tried, where that can be told. */
  tries: number
  /** When the first one and the last one ended. */
  readonly first: Moment
  last: Moment
}

/** The sessions of each source, in bounded memory: beyond it, the source whose last one is longest ago is forgotten. */
export class SessionRecords {
  /** Sources forgotten for others. */
  forgotten = 0
  readonly #records: RecentMap<string, SessionRecord>

  constructor(most: number) {
    this.#records = new RecentMap(most, () => this.forgotten++)
  }

  add({ source, service }: Session, outcome: Outcome, tries: number, end: Moment): void {
    const name = formatPrefix(source)
    const key = `${service} ${name}`
    let record = this.#records.get(key)
    if (record === undefined) {
      record = { source: name, service, failed: 0, succeeded: 0, unclear: 0, tries: 0, first: end, last: end }
      this.#records.set(key, record)
    }
    record[outcome]++
    record.tries += tries
    record.last = end
  }

  [Symbol.iterator](): Iterator<SessionRecord> {
    return this.#records.values().values()
  }
}
