/** What `performance.now()` began with: asking the kernel each time for a BigInt costs five times as much. */
const OFFSET_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** CLOCK_MONOTONIC in milliseconds, as the path threads see it; `performance.now()` starts with the process. */
export function pathClockMs(): number {
  return OFFSET_MS + performance.now()
}
