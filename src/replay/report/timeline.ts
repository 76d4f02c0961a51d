import type { Policy } from '../../config/policy.ts'
import type { Judgement, Observer } from '../observer.ts'

/** A power of two: bins are joined in pairs. */
const BINS = 512

/** What became of an attempt: `refused` by a limit, in shadow mode too; `banned`: dropped by a ban. */
export const FATES = ['accepted', 'refused', 'banned'] as const
export type Fate = (typeof FATES)[number]

/** Attempts by service, fate and time. */
export class Timeline implements Observer {
  /** Time that each bin covers. It doubles, and pairs of bins are joined, as often as the capture needs it. */
  binMs = 1
  readonly #services: ReadonlyMap<string, Readonly<Record<Fate, Float64Array>>>

  constructor({ services }: Policy) {
    this.#services = new Map(
      services.map(({ name }) => [
        name,
        { accepted: new Float64Array(BINS), refused: new Float64Array(BINS), banned: new Float64Array(BINS) },
      ]),
    )
  }

  judged({ attempt, service, verdict, reason }: Judgement): void {
    while (attempt.elapsedMs >= this.binMs * BINS) this.#double()
    const fate = reason === 'banned' ? 'banned' : verdict === 'accept' ? 'accepted' : 'refused'
    this.#services.get(service.name)![fate][Math.floor(attempt.elapsedMs / this.binMs)]!++
  }

  /** Number of attempts in each bin, from the first packet on. */
  bins(service: string, fate: Fate): Float64Array {
    return this.#services.get(service)![fate]
  }

  #double(): void {
    this.binMs *= 2
    for (const bins of [...this.#services.values()].flatMap((each) => Object.values(each))) {
      for (let i = 0; i < BINS / 2; i++) bins[i] = bins[2 * i]! + bins[2 * i + 1]!
      bins.fill(0, BINS / 2)
    }
  }
}
