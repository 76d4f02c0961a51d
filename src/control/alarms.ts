import type { Log } from './log/log.ts'

/**
 * Alarms that are on. One goes on when its value reaches the level and off when it is back below half of that,
 * so that a value near the level is not one alarm after the other; both are logged, once.
 */
export class Alarms {
  readonly #log: Pick<Log, 'info' | 'warn'>
  readonly #active = new Set<string>()

  constructor(log: Pick<Log, 'info' | 'warn'>) {
    this.#log = log
  }

  isOn(name: string): boolean {
    return this.#active.has(name)
  }

  /** @param what for people, such as "412 unsolicited answers a second". */
  set(name: string, value: number, level: number, what: string): void {
    if (value >= level && !this.#active.has(name)) {
      this.#active.add(name)
      this.#log.warn('alarm', `alarm: ${what}`, { alarm: name })
    } else if (value < level / 2 && this.#active.delete(name)) {
      this.#log.info('alarm-over', `no alarm any more: ${what}`, { alarm: name })
    }
  }

  /** Forgets the alarms that are not among `names`. */
  keep(names: readonly string[]): void {
    for (const name of this.#active) if (!names.includes(name)) this.#active.delete(name)
  }
}
