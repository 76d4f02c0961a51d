import { decode } from '../../src/path/decode.ts'
import { Reason } from '../../src/path/reasons.ts'
import { Attempt } from '../../src/replay/attempt.ts'
import { CaptureReader } from '../../src/replay/capture/reader.ts'
import { type Flow, FlowTracker } from '../../src/replay/flows/flow-tracker.ts'

const TCP = 6
const SYN_ACK = 0x12
const SYN = 0x02

/** The sessions with `ports` in the capture at `path`, as `sluice replay` has them. */
export async function readSessions(path: string, ports: readonly number[]): Promise<Flow[]> {
  const sessions: Flow[] = []
  const attempt = new Attempt()
  const tracker = new FlowTracker({
    assured: () => {},
    goesOn: () => 0,
    closed: (flow) => sessions.push(flow),
  })
  const reader = await CaptureReader.open(path)
  while (await reader.refill()) {
    while (reader.next()) {
      const { bytes, offset, length, timeMs } = reader.packet
      Object.assign(attempt, { bytes, offset, length, timeMs, nowMs: timeMs })
      const { view } = attempt
      if (decode(view, bytes, offset, length) !== Reason.withinLimit || view.protocol !== TCP) continue
      tracker.tick(timeMs)
      if ((view.tcpFlags & SYN_ACK) === SYN) tracker.open(attempt, 1)
      else tracker.follow(attempt, ports.includes(view.sourcePort))
    }
  }
  await reader.close()
  tracker.finish(Number.POSITIVE_INFINITY)
  return sessions
}
