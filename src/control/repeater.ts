/** Does something again and again, each time when the time before is done: runs never overlap. */
export class Repeater {
  readonly #task: () => Promise<void>
  readonly #pauseMs: () => number
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  #isStopped = false

  /** `task` must not reject. The first run comes after the first pause. */
  constructor(task: () => Promise<void>, pauseMs: () => number) {
    this.#task = task
    this.#pauseMs = pauseMs
    this.#schedule()
  }

  /** Resolves when the run under way, if any, is done. No other follows. */
  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    await this.#running
  }

  #schedule(): void {
    if (this.#isStopped) return
    this.#timer = setTimeout(() => {
      this.#running = this.#task().then(() => this.#schedule())
    }, this.#pauseMs()).unref()
  }
}
