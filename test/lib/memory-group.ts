import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The hierarchy that limits memory: of version 1, or of version 2, where the machine has only that. */
const MEMORY_1 = '/sys/fs/cgroup/memory'
const ROOT_2 = '/sys/fs/cgroup'

/** A control group of its own for a process, whose memory can be limited so that the kernel kills it. */
export class MemoryGroup {
  readonly #directory: string
  readonly #limit: string
  readonly #usage: string

  constructor() {
    const isVersion1 =
      readsAsFile(join(MEMORY_1, 'memory.limit_in_bytes')) || !readsAsFile(join(ROOT_2, 'cgroup.controllers'))
    this.#directory = join(isVersion1 ? MEMORY_1 : ROOT_2, `sluice-test-${process.pid}`)
    this.#limit = isVersion1 ? 'memory.limit_in_bytes' : 'memory.max'
    this.#usage = isVersion1 ? 'memory.usage_in_bytes' : 'memory.current'
    if (!isVersion1) writeFileSync(join(ROOT_2, 'cgroup.subtree_control'), '+memory')
    mkdirSync(this.#directory)
  }

  /** Takes in a process; only what it asks for from now on is counted. */
  add(pid: number): void {
    writeFileSync(join(this.#directory, 'cgroup.procs'), String(pid))
  }

  /** Lets the group have `bytes` more than it has now. */
  allowMore(bytes: number): void {
    const used = Number(readFileSync(join(this.#directory, this.#usage), 'utf8'))
    writeFileSync(join(this.#directory, this.#limit), String(used + bytes))
  }

  /** When nothing runs in it any more. */
  remove(): void {
    rmdirSync(this.#directory)
  }
}

function readsAsFile(path: string): boolean {
  try {
    readFileSync(path)
    return true
  } catch {
    return false
  }
}
