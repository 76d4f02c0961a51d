import { readdirSync, readFileSync } from 'node:fs'

/** CLK_TCK, which is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

/** CPU seconds of each thread of a process since its start, user and kernel together. */
export function cpuByThread(pid: number): Map<number, number> {
  const directory = `/proc/${pid}/task`
  return new Map(
    readdirSync(directory).map((thread) => [Number(thread), cpuOf(`${directory}/${thread}/stat`)]),
  )
}

/** CPU seconds of a process: of its busiest thread but the first, and of all. */
export interface Cpu {
  readonly busiest: number
  readonly all: number
}

export function cpuSince(before: ReadonlyMap<number, number>, pid: number): Cpu {
  const spent = [...cpuByThread(pid)].map(([id, cpu]) => [id, cpu - (before.get(id) ?? 0)] as const)
  const others = spent.filter(([id]) => id !== pid).map(([, cpu]) => cpu)
  return { busiest: Math.max(0, ...others), all: spent.reduce((sum, [, cpu]) => sum + cpu, 0) }
}

/** CPU seconds of the processes that this one has started and that are over. */
export function childCpu(): number {
  return cpuOf('/proc/self/stat', 13)
}

/** @param first field behind the name: utime, with stime behind it, or what both were of the children (proc(5)) */
function cpuOf(file: string, first = 11): number {
  // The name in parentheses may hold anything.
  const fields = readFileSync(file, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[first]) + Number(fields[first + 1])) / TICKS_PER_SECOND
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kib) * 1024
}
