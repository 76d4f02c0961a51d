import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { EXIT, Failure } from '../failure.ts'

/** What a command is told to write or to read; `-` is a standard stream. */
interface NamedFile {
  /** As a message has it: `--csv`, `the capture`. */
  readonly role: string
  readonly path: string | undefined
}

/**
 * Looks whether a command would write over what it reads, or twice into one file, whatever the names: another
 * spelling and a link count as well. Only files hold anything that could be lost.
 *
 * @throws Failure `usage`
 */
export async function checkOutputs(
  outputs: readonly NamedFile[],
  inputs: readonly NamedFile[],
): Promise<void> {
  const taken = new Map<string, string>()
  for (const { role, path } of inputs) {
    const identity = await identityOf(path)
    if (identity !== undefined) taken.set(identity, `would overwrite ${role} ${path}`)
  }
  for (const { role, path } of outputs) {
    const identity = await identityOf(path)
    if (identity === undefined) continue
    const problem = taken.get(identity)
    if (problem !== undefined) throw new Failure(EXIT.usage, `${role} ${problem}`, 'name another file')
    taken.set(identity, `would overwrite what ${role} has written to ${path}`)
  }
}

/** `undefined` for what is no file. */
async function identityOf(path: string | undefined): Promise<string | undefined> {
  if (path === undefined || path === '-') return undefined
  const stats = await stat(path, { bigint: true }).catch(() => undefined)
  if (stats === undefined) return resolve(path)
  return stats.isFile() ? `${stats.dev}:${stats.ino}` : undefined
}
