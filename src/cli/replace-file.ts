import {
  chownSync,
  closeSync,
  copyFileSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { EXIT, Failure } from '../failure.ts'

/**
 * Replaces the contents of a file at one stroke, keeping owner and mode. What was there stays beside it.
 *
 * @returns the name of the copy of what was there
 * @throws Failure (cannotCreate); then the file is as before
 */
export function replaceFile(path: string, text: string): string {
  try {
    const file = realpathSync(path)
    const { mode, uid, gid } = statSync(file)
    const before = `${file}.before`
    copyFileSync(file, before)
    const fd = openSync(`${file}.new`, 'w', mode & 0o777)
    try {
      writeSync(fd, text)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    chownSync(`${file}.new`, uid, gid)
    renameSync(`${file}.new`, file)
    return before
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException
    throw new Failure(EXIT.cannotCreate, `cannot write ${path}: ${code}`, 'run it as a user who may')
  }
}
