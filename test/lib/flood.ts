import { execFileSync } from 'node:child_process'
import type { Host } from './lab.ts'
import type { Scratch } from './scratch.ts'

const SOURCE = new URL('../bench/programs/flood.c', import.meta.url).pathname

/** Builds the program that floods; its usage is in its source. @returns its path */
export function compileFlood(scratch: Scratch): string {
  const program = scratch.path('flood')
  execFileSync('cc', ['-O3', '-o', program, SOURCE])
  return program
}

export interface FloodOptions {
  readonly to: string
  /** As flood.c has them. */
  readonly kind: 'syn' | 'dns' | 'ptr' | 'ptr-walk' | 'ip6-walk'
  readonly sources: number
  readonly seconds: number
  /** Packets a second; as many as possible by default. */
  readonly rate?: number
}

/** Sends it from one host to another of its lab; resolves when it is over. */
export async function flood(
  program: string,
  from: Host,
  target: Host,
  { to, kind, sources, seconds, rate = 0 }: FloodOptions,
): Promise<void> {
  const mac = target.run('cat', '/sys/class/net/eth0/address').trim()
  const args = ['eth0', mac, to, kind, sources, `${seconds}s`, rate].map(String)
  const { status, stderr } = await from.attempt(program, ...args)
  if (status !== 0) throw new Error(`flood has ended with ${status}: ${stderr}`)
}
