import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { access, chmod, chown, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { EXIT, Failure } from '../failure.ts'
import { explained } from './output.ts'

/**
 * Finds out before a long replay whether a report can be written to `path`. The name must end in `.html`,
 * so that `--report capture.pcap`, where the report's own name was forgotten, destroys no capture.
 *
 * @throws Failure `usage`, `cannotCreate`
 */
export async function checkReportPath(path: string): Promise<void> {
  if (!/\.html?$/i.test(path)) {
    throw new Failure(EXIT.usage, `${path}: a report is a page of HTML`, 'give it a name that ends in .html')
  }
  await explained(path, checkTarget(path))
}

async function checkTarget(path: string): Promise<void> {
  const target = await targetOf(path)
  const stats = await stat(target).catch(() => undefined)
  if (stats !== undefined && !stats.isFile()) throw new Error('not a regular file')
  // It would be replaced whatever its own mode; but somebody has protected it.
  if (stats !== undefined) await access(target, constants.W_OK)
  await access(dirname(target), constants.W_OK)
}

/**
 * Writes a file in one step: at `path` is what was there before, or all of `text`, whenever the disk is
 * full or the machine fails. Mode and, where that is permitted, owner stay as they were.
 *
 * @throws Failure `cannotCreate`
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  await explained(path, replaceTarget(path, text))
}

async function replaceTarget(path: string, text: string): Promise<void> {
  const target = await targetOf(path)
  const temporary = join(dirname(target), `.sluice-${randomUUID()}.tmp`)
  const before = await stat(target).catch(() => undefined)
  try {
    await writeFile(temporary, text, { flag: 'wx', flush: true, mode: before === undefined ? 0o666 : 0o600 })
    if (before !== undefined) {
      // Whoever may write to a file of somebody else's may still not make it his.
      await chown(temporary, before.uid, before.gid).catch(() => {})
      await chmod(temporary, before.mode & 0o777)
    }
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** Behind a symbolic link is the file that is meant. */
async function targetOf(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return join(await realpath(dirname(path)), basename(path))
  }
}
