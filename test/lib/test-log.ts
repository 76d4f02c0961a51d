import pino from 'pino'
import { Log } from '../../src/control/log/log.ts'
import { LogLimiter } from '../../src/control/log/log-limiter.ts'

/** A log that keeps its lines, for tests: `level event: message`. */
export class TestLog {
  readonly lines: string[] = []
  readonly log: Log

  constructor(limiter = new LogLimiter({ burst: 1e6, perSecond: 1e6, now: () => 0 })) {
    const write = (line: string) => {
      const { level, event, msg } = JSON.parse(line)
      this.lines.push(`${pino.levels.labels[level]} ${event}: ${msg}`)
    }
    this.log = new Log(pino({ level: 'debug' }, { write }), limiter)
  }
}
