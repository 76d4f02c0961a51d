import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'

/** Where the figures come from: only ratios travel from one machine to another. */
export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly node: string
}

export function thisMachine(): Machine {
  const all = cpus()
  return {
    processor: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `Linux ${release()} ${readFileSync('/proc/sys/kernel/version', 'utf8').trim()}`,
    node: process.version,
  }
}

export function describeMachine({ processor, cores, memoryGiB, kernel, node }: Machine): string {
  return `${processor}, ${cores} cores, ${memoryGiB} GiB, ${kernel}, Node ${node}`
}
