import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { ClassicLevel } from 'classic-level'

export type Database = ClassicLevel<string, string>

/** Small: a store of 65,000 bans has 4 MB, is read once, and is written some rows a second. */
const OPTIONS = { writeBufferSize: 2 ** 20, cacheSize: 2 ** 18, maxOpenFiles: 64 } as const

/** The store cannot be used now, and nothing is wrong with its contents: worth another try. */
export class StoreUnavailable extends Error {}

/** What is there is not a store, or is broken: it has to go out of the way. */
export class StoreBroken extends Error {}

/**
 * Opens the store in `path`, a directory, and makes it where there is none.
 *
 * @throws StoreUnavailable, StoreBroken
 */
export async function openDatabase(path: string): Promise<Database> {
  makeDirectory(path)
  if (!statSync(path).isDirectory()) throw new StoreBroken('it is no directory')
  const files = readdirSync(path)
  if (files.length > 0 && !files.includes('CURRENT'))
    throw new StoreBroken('it holds files of something else')
  // Loaded here: a daemon without a store does without it.
  const { ClassicLevel } = await import('classic-level')
  const database: Database = new ClassicLevel(path)
  try {
    await database.open(OPTIONS)
    return database
  } catch (error) {
    throw classified(error, path)
  }
}

/** Renames what is at `path`, so that a new store can be made. Returns the new name. @throws StoreUnavailable */
export function setAside(path: string, date = new Date()): string {
  const name = `${path}.broken-${date.toISOString().replace(/[:.]/g, '-')}`
  return attempted(`rename ${path}`, () => {
    renameSync(path, name)
    return name
  })
}

/** What an operation on an open database failed with: broken contents, or a disk that does not play along. */
export function classified(error: unknown, path: string): StoreUnavailable | StoreBroken {
  if (error instanceof StoreUnavailable || error instanceof StoreBroken) return error
  const { cause = error } = error as { cause?: unknown }
  const { code, message } = cause as { code?: string; message: string }
  if (code === 'LEVEL_LOCKED') return new StoreUnavailable('another process has it open')
  if (code === 'LEVEL_CORRUPTION') return new StoreBroken(firstLine(message))
  try {
    probe(dirname(path))
  } catch (trouble) {
    return trouble as StoreUnavailable
  }
  // The disk can be written, and yet LevelDB cannot read its files.
  return new StoreBroken(firstLine(message))
}

function makeDirectory(path: string): void {
  attempted(`make ${path}`, () => makeEach(path))
}

/** One by one: on a read-only disk the recursive way of Node says ENOENT. */
function makeEach(path: string): void {
  if (existsSync(path)) return
  makeEach(dirname(path))
  mkdirSync(path, { mode: 0o750 })
}

/** Whether a file can be made in `directory` and be written. @throws StoreUnavailable */
function probe(directory: string): void {
  const file = join(directory, '.probe')
  attempted(`write to ${directory}`, () => {
    const fd = openSync(file, 'w', 0o600)
    try {
      writeSync(fd, Buffer.alloc(4096))
      fsyncSync(fd)
    } finally {
      closeSync(fd)
      rmSync(file, { force: true })
    }
  })
}

function attempted<T>(what: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw new StoreUnavailable(`cannot ${what}: ${(error as NodeJS.ErrnoException).code}`)
  }
}

function firstLine(message: string): string {
  return message.split('\n')[0]!
}
