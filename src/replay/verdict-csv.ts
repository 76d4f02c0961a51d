import { formatPrefix } from '../net/prefix.ts'
import { sourcePrefix } from '../path/source-ring.ts'
import { isoTime } from './iso-time.ts'
import type { Judgement, Observer } from './observer.ts'

const HEADER = 'time,source,source_port,service,port,verdict,reason,packet'

/**
 * Every decision as a line of CSV (RFC 4180, without need for quotes): the capture's time in UTC, the
 * source as sluice counts it (an IPv4 address or an IPv6 /64), and the packet's number in its capture.
 */
export class VerdictCsv implements Observer {
  readonly #write: (text: string) => Promise<unknown>
  #lines: string[] = [HEADER]

  constructor(write: (text: string) => Promise<unknown>) {
    this.#write = write
  }

  judged({ attempt, service, verdict, reason }: Judgement): void {
    const { view, timeMs, number } = attempt
    const source = formatPrefix(sourcePrefix(view.family, view.sourceHigh, view.sourceLow))
    const time = isoTime(timeMs)
    const { sourcePort, destinationPort } = view
    this.#lines.push(
      `${time},${source},${sourcePort},${service.name},${destinationPort},${verdict},${reason},${number}`,
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
