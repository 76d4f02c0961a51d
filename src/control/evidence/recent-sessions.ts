import { formatPrefix } from '../../net/prefix.ts'
import { RecentMap } from '../recent-map.ts'
import type { Session } from '../sessions/session.ts'
import type { Outcome } from './outcome.ts'

/** At about 200 bytes a session, 2 MB. Who is forgotten only has his sessions told to nobody. */
const SOURCES_MAX = 2048
const SESSIONS_MAX = 5

/** A session as it was judged. */
export interface JudgedSession {
  readonly session: Session
  readonly outcome: Outcome
  /** How many a failed one counted as. */
  readonly tries: number
  /** Monotonic milliseconds. */
  readonly atMs: number
}

/** The last few sessions of each source, for people who ask why. Nothing is decided by them. */
export class RecentSessions {
  readonly #sources = new RecentMap<string, JudgedSession[]>(SOURCES_MAX)

  add(judged: JudgedSession): void {
    const key = formatPrefix(judged.session.source)
    const before = this.#sources.get(key) ?? []
    this.#sources.set(key, [...before, judged].slice(-SESSIONS_MAX))
  }

  /** Oldest first. @param source as text */
  of(source: string): readonly JudgedSession[] {
    return this.#sources.peek(source) ?? []
  }
}
