import { CaptureReader } from '../../src/replay/capture/reader.ts'

/** What the program below prints about the capture that its argument names. */
export interface CaptureCount {
  readonly ip: number
  readonly packets: number
  readonly ending: CaptureReader['ending']
  readonly largestMiB: number
}

const reader = await CaptureReader.open(process.argv[2]!)
let ip = 0
while (await reader.refill()) while (reader.next()) ip++
await reader.close()
const count: CaptureCount = {
  ip,
  packets: reader.packets,
  ending: reader.ending,
  largestMiB: process.resourceUsage().maxRSS / 1024,
}
console.log(JSON.stringify(count))
