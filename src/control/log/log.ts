import type { Logger } from 'pino'
import type { LogLevel } from '../../config/policy.ts'
import type { LogLimiter } from './log-limiter.ts'

/** What an event's line carries besides its message. Values are logged as they are: no secrets, no packets. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

/**
 * The daemon's log: one line an event. `event` names the kind (a closed set, for filters and the rate
 * limit), the message is a whole sentence for people.
 */
export class Log {
  readonly #sink: Logger
  readonly #limiter: LogLimiter

  constructor(sink: Logger, limiter: LogLimiter) {
    this.#sink = sink
    this.#limiter = limiter
  }

  set level(level: LogLevel) {
    this.#sink.level = level
  }

  debug(event: string, message: string, fields: LogFields = {}): void {
    this.#write('debug', event, message, fields)
  }

  info(event: string, message: string, fields: LogFields = {}): void {
    this.#write('info', event, message, fields)
  }

  warn(event: string, message: string, fields: LogFields = {}): void {
    this.#write('warn', event, message, fields)
  }

  error(event: string, message: string, fields: LogFields = {}): void {
    this.#write('error', event, message, fields)
  }

  /** Says how many events of which kinds the rate limit has swallowed; to be called now and then. */
  reportSuppressed(): void {
    for (const { event, suppressed } of this.#limiter.drainSuppressed()) {
      this.#sink.warn(
        { event: 'suppressed', of: event, suppressed },
        `suppressed ${suppressed} "${event}" events`,
      )
    }
  }

  #write(level: LogLevel, event: string, message: string, fields: LogFields): void {
    if (!this.#sink.isLevelEnabled(level) || !this.#limiter.take(event)) return
    this.#sink[level]({ event, ...fields }, message)
  }
}
