import { execFileSync } from 'node:child_process'
import { Scratch } from '../../lib/scratch.ts'
import { Arena } from './arena.ts'

const PROGRAMS = new URL('../programs/', import.meta.url).pathname

export interface StageOptions {
  readonly rounds: number
  /** How long a flood lasts. */
  readonly seconds: number
  /** A line for people while it goes on. */
  readonly say: (line: string) => void
}

/** What a bench works with: programs, hosts on a wire, and what ends with its case. */
export class Stage {
  readonly seconds: number
  readonly rounds: number
  /** What a reader of the figures must know. */
  readonly notes = new Set<string>()
  readonly #scratch = new Scratch()
  readonly #say: (line: string) => void
  readonly #programs = new Map<string, string>()
  #closers: (() => unknown)[] = []

  constructor({ rounds, seconds, say }: StageOptions) {
    this.rounds = rounds
    this.seconds = seconds
    this.#say = say
  }

  /** The path of a file of its own, which exists until the run ends. */
  path(name: string): string {
    return this.#scratch.path(name)
  }

  /** `programs/NAME.c`, built. @param flags more arguments of the compiler. */
  compiled(name: string, ...flags: string[]): string {
    const known = this.#programs.get(name)
    if (known !== undefined) return known
    const program = this.#scratch.path(name)
    execFileSync('cc', ['-O3', '-march=native', '-o', program, `${PROGRAMS}${name}.c`, ...flags])
    this.#programs.set(name, program)
    return program
  }

  /** The path of `programs/NAME`, for Node. */
  script(name: string): string {
    return `${PROGRAMS}${name}`
  }

  /** A server and a sender on a wire of their own. */
  arena(): Arena {
    const arena = Arena.create(this.compiled('flood'))
    this.onEnd(() => arena.close())
    return arena
  }

  /** Does `close` when the case is over, last one first. */
  onEnd(close: () => unknown): void {
    this.#closers.push(close)
  }

  note(text: string): void {
    if (!this.notes.has(text)) this.#say(`  ${text}`)
    this.notes.add(text)
  }

  /** Closes all that has been opened since the case began. */
  async release(): Promise<void> {
    const closers = this.#closers.reverse()
    this.#closers = []
    for (const close of closers) await close()
  }

  async close(): Promise<void> {
    await this.release()
    this.#scratch.close()
  }
}
