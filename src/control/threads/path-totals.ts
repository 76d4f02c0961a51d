import type { PathCounters } from '../../path/counters.ts'
import type { PathThreads } from './path-threads.ts'

/** One of the path's counters, element by element the sum over all path threads. */
export function sumOver(threads: PathThreads, pick: (counters: PathCounters) => Float64Array): Float64Array {
  const [first, ...others] = threads.all.map((thread) => pick(thread.counters))
  const sum = Float64Array.from(first ?? [])
  for (const each of others) for (const [i, count] of each.entries()) sum[i]! += count
  return sum
}
