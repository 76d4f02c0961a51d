/** CLOCK_MONOTONIC in milliseconds, as the path threads see it; `performance.now()` starts with the process. */
export function pathClockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
