import { EXIT, Failure } from '../failure.ts'

/** Runs tasks one after the other: a reload, a repair and the end must not write the firewall at once. */
export class Serial {
  #last: Promise<unknown> = Promise.resolve()
  #isClosed = false

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** @throws Failure (unavailable) after `close`, or what `task` throws. */
  run<T>(task: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(() => {
      if (this.#isClosed) throw new Failure(EXIT.unavailable, 'sluice is stopping')
      return task()
    })
    this.#last = result.catch(() => {})
    return result
  }

  /** Refuses all tasks that have not begun; resolves when the one that has is done. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#last
  }
}
