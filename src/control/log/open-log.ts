import { fstatSync } from 'node:fs'
import pino from 'pino'
import type { Policy } from '../../config/policy.ts'
import { Log } from './log.ts'
import { LogLimiter } from './log-limiter.ts'

const STDOUT = 1
/** Lines of one kind of event: so many at once, then so many a second. */
const BURST = 100
const PER_SECOND = 5
/** Lines that wait for a reader who has stopped reading; beyond it they are lost. */
const WAITING_BYTES_MAX = 2 ** 20
const CLOSE_PATIENCE_MS = 1000

/** Priorities of syslog(3) by pino's level numbers: how journald tells an error from a notice. */
const SYSLOG_PRIORITY: Readonly<Record<number, number>> = { 20: 7, 30: 6, 40: 4, 50: 3 }

/** The log, and how to bring its last lines out. */
export interface OpenLog {
  readonly log: Log
  readonly close: () => Promise<void>
}

/**
 * The log on standard output: JSON, or text on a terminal (`log.format` in the policy). When the journal
 * reads it, each line starts with its priority, see sd-daemon(3). Nothing waits for whoever reads it.
 */
export async function openLog({ level, format }: Policy['log']): Promise<OpenLog> {
  const isPretty = format === 'pretty' || (format === 'auto' && process.stdout.isTTY)
  const render = isPretty ? await prettyRenderer() : isJournal() ? withPriority : plain
  const output = pino.destination({ dest: STDOUT, sync: false, maxLength: WAITING_BYTES_MAX })
  const stream = {
    // Asks pino for `lastLevel`.
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 30,
    write: (line: string) => void output.write(render(line, stream.lastLevel)),
  }
  const sink = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  )
  const limiter = new LogLimiter({ burst: BURST, perSecond: PER_SECOND, now: () => performance.now() })
  return { log: new Log(sink, limiter), close: () => close(output) }
}

type Render = (line: string, level: number) => string

const plain: Render = (line) => line
const withPriority: Render = (line, level) => `<${SYSLOG_PRIORITY[level] ?? 6}>${line}`

async function prettyRenderer(): Promise<Render> {
  const { prettyFactory } = await import('pino-pretty')
  return prettyFactory({
    colorize: process.stdout.isTTY,
    hideObject: true,
    translateTime: 'SYS:HH:MM:ss',
  })
}

/** Children inherit JOURNAL_STREAM; only the device and inode tell whose output it means (systemd.exec(5)). */
function isJournal(): boolean {
  const { dev, ino } = fstatSync(STDOUT)
  return process.env.JOURNAL_STREAM === `${dev}:${ino}`
}

/** Gives a reader some time for the last lines. Destroyed, it will not wait for him when the process ends. */
async function close(output: ReturnType<typeof pino.destination>): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, CLOSE_PATIENCE_MS).unref()
    output.flush(() => resolve())
  })
  output.destroy()
}
