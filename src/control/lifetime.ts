import type { EventEmitter } from 'node:events'

const PROCESS: EventEmitter = process

/** Thrown out of the start when somebody asks sluice to stop before it is done. */
export class StopRequested extends Error {}

/**
 * How long the daemon lives: until SIGINT or SIGTERM, or until something fails that it cannot go on
 * without. Signals that come while it stops are ignored: npm forwards a Ctrl-C that the terminal has
 * delivered already.
 */
export class Lifetime {
  /** Resolves on a stop signal, rejects on a failure. */
  readonly ended: Promise<void>
  readonly fail: (error: Error) => void
  onHangup: () => void = () => {}
  #end: Error | undefined
  readonly #listeners: readonly (readonly [event: string, (error: Error) => void])[]

  constructor() {
    const { promise, resolve, reject } = withResolvers()
    this.ended = promise
    // It may be rejected before anybody waits for it.
    promise.catch(() => {})
    this.fail = (error) => {
      this.#end ??= error
      reject(error)
    }
    const stop = () => {
      this.#end ??= new StopRequested()
      resolve()
    }
    this.#listeners = [
      ['SIGINT', stop],
      ['SIGTERM', stop],
      ['SIGHUP', () => this.onHangup()],
      ['uncaughtException', this.fail],
    ]
    for (const [event, listener] of this.#listeners) PROCESS.on(event, listener)
  }

  /** @throws what has ended the lifetime, if it has ended. */
  check(): void {
    if (this.#end !== undefined) throw this.#end
  }

  /** Gives signals back their usual meaning. */
  close(): void {
    for (const [event, listener] of this.#listeners) PROCESS.off(event, listener)
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let resolve = () => {}
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
