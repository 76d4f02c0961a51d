import { formatPrefix } from '../net/prefix.ts'
import { REASONS, Reason, VERDICTS, type Verdict } from '../path/reasons.ts'
import { sourcePrefix } from '../path/source-ring.ts'
import type { Attempt } from './attempt.ts'
import { isoTime } from './iso-time.ts'
import type { Judgement, Observer } from './observer.ts'

const UNSOLICITED = REASONS[Reason.unsolicitedAnswer].name
const HEADER = 'time,source,source_port,service,port,verdict,reason,packet'

/**
 * Every decision as a line of CSV (RFC 4180, without need for quotes): the capture's time in UTC, the
 * source as sluice counts it (an IPv4 address or an IPv6 /64), and the packet's number in its capture. What is for
 * no service, as an answer that nobody has asked for, has none.
 */
export class VerdictCsv implements Observer {
  readonly #write: (text: string) => Promise<unknown>
  #lines: string[] = [HEADER]

  constructor(write: (text: string) => Promise<unknown>) {
    this.#write = write
  }

  judged({ attempt, service, verdict, reason }: Judgement): void {
    this.#add(attempt, service.name, verdict, reason)
  }

  unsolicited(attempt: Attempt, verdict: Verdict): void {
    this.#add(attempt, '', VERDICTS[verdict]!, UNSOLICITED)
  }

  #add({ view, timeMs, number }: Attempt, service: string, verdict: string, reason: string): void {
    const source = formatPrefix(sourcePrefix(view.family, view.sourceHigh, view.sourceLow))
    const time = isoTime(timeMs)
    const { sourcePort, destinationPort } = view
    this.#lines.push(
      `${time},${source},${sourcePort},${service},${destinationPort},${verdict},${reason},${number}`,
    )
  }

  /** Writes what has gathered since the last time. */
  async flush(): Promise<void> {
    if (this.#lines.length === 0) return
    const text = `${this.#lines.join('\n')}\n`
    this.#lines = []
    await this.#write(text)
  }
}
