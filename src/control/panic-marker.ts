import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

/** Since when everything passes, and why. */
export interface PanicMark {
  readonly since: Date
  readonly reason: string
}

/** Everything passes, and nobody is banned. */
export interface PanicRow {
  /** ISO 8601. */
  readonly since: string
  readonly reason: string
  /** Over a restart of the daemon. */
  readonly isRemembered: boolean
}

/** The file that says over restarts that panic is on: whoever makes it by hand has begun one. */
export function panicFile(directory: string): string {
  return join(directory, 'panic')
}

/** The mark in `directory`; whatever is in the file, its being there counts. */
export function readPanicMark(directory: string): PanicMark | undefined {
  const file = panicFile(directory)
  const stats = statSync(file, { throwIfNoEntry: false })
  if (stats === undefined) return undefined
  return { since: stats.mtime, reason: reasonIn(file) }
}

/** Makes the mark, on the disk when this returns. @throws Error of node:fs */
export function writePanicMark(directory: string, reason: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o750 })
  const file = panicFile(directory)
  const fd = openSync(`${file}.new`, 'w', 0o640)
  try {
    writeSync(fd, `${reason}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(`${file}.new`, file)
}

/** @throws Error of node:fs, but not where there is none. */
export function removePanicMark(directory: string): void {
  rmSync(panicFile(directory), { force: true })
}

/** The first line, as far as it is fit for a terminal. */
function reasonIn(file: string): string {
  try {
    const [line = ''] = readFileSync(file, 'utf8').slice(0, 200).split('\n')
    return line.replace(/\p{C}/gu, '') || 'the file is there'
  } catch {
    return 'the file is there'
  }
}
