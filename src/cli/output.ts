import { open } from 'node:fs/promises'
import { EXIT, Failure } from '../failure.ts'
import { systemReason } from '../system-reason.ts'

/** A file that a command writes, or standard output. A write resolves when the next may come. */
export interface Output {
  /** @throws Failure `cannotCreate`; ReaderGone */
  write(text: string): Promise<void>
  /** All is written. @throws Failure `cannotCreate` */
  finish(): Promise<void>
  close(): Promise<void>
}

/** Whoever read our standard output has seen enough ("... | head"): no reason to go on, and no error. */
export class ReaderGone extends Error {}

/** Opens `path` for writing, where `-` is standard output. @throws Failure `cannotCreate` */
export async function openOutput(path: string): Promise<Output> {
  if (path === '-') return { write: writeToStandardOutput, finish, close: async () => {} }
  const file = await explained(path, open(path, 'w'))
  return {
    write: (text) => explained(path, file.appendFile(text)),
    finish,
    close: () => explained(path, file.close()),
  }
}

async function finish(): Promise<void> {}

/** What `result` comes to. @throws Failure `cannotCreate`, which says why `path` cannot be written */
export async function explained<T>(path: string, result: Promise<T>): Promise<T> {
  try {
    return await result
  } catch (error) {
    throw cannotWrite(path, error)
  }
}

function writeToStandardOutput(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error: NodeJS.ErrnoException | null | undefined) => {
      if (!error) resolve()
      else reject(error.code === 'EPIPE' ? new ReaderGone() : cannotWrite('standard output', error))
    })
  })
}

function cannotWrite(path: string, error: unknown): Failure {
  return new Failure(EXIT.cannotCreate, `${path}: cannot write: ${systemReason(error)}`)
}
