import type { Session } from './session.ts'

interface Counts {
  assured: number
  closed: number
}

/** How many sessions each service has had. */
export class SessionCounts {
  readonly #services = new Map<string, Counts>()

  /** Counts flows to `service` whose clients have proven their addresses. */
  addAssured(service: string, flows: number): void {
    this.#of(service).assured += flows
  }

  addClosed(sessions: readonly Session[]): void {
    for (const { service } of sessions) this.#of(service).closed++
  }

  assured(service: string): number {
    return this.#of(service).assured
  }

  closed(service: string): number {
    return this.#of(service).closed
  }

  #of(service: string): Counts {
    const known = this.#services.get(service)
    if (known !== undefined) return known
    const counts = { assured: 0, closed: 0 }
    this.#services.set(service, counts)
    return counts
  }
}
