import { constants, rmSync, type Stats } from 'node:fs'
import { access, open, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { EXIT, Failure } from '../failure.ts'
import { explained, type Output, openOutput } from './output.ts'
import { beforeEnding } from './signals.ts'

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
  await refuseProtected(target, stats)
  await access(dirname(target), constants.W_OK)
}

/**
 * Writes a file in one step: at `path` is what was there before, or all of `text`, whenever the disk is
 * full or the machine fails. Mode and, where that is permitted, owner stay as they were.
 *
 * @throws Failure `cannotCreate`
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  await writeTo(await explained(path, openWhole(path)), text)
}

/** Writes `text` as `openReplacing` does. @throws Failure `cannotCreate`; ReaderGone */
export async function writeReplacing(path: string, text: string): Promise<void> {
  await writeTo(await openReplacing(path), text)
}

async function writeTo(output: Output, text: string): Promise<void> {
  try {
    await output.write(text)
    await output.finish()
  } finally {
    await output.close()
  }
}

/**
 * Opens `path` for writing. A file is written as `writeWhole` does it: until `finish`, and for good where that is not
 * reached, be it by Ctrl-C, what was there before stays there. Standard output, a pipe or a device cannot be
 * replaced, and is written at once.
 *
 * @throws Failure `cannotCreate`
 */
export async function openReplacing(path: string): Promise<Output> {
  // What has a name there is open already, as a device or as whatever standard output is.
  const isOpen = path === '-' || /^\/(dev|proc)\//.test(resolve(path))
  const isFile = !isOpen && ((await stat(path).catch(() => undefined))?.isFile() ?? true)
  return isFile ? explained(path, openWhole(path)) : openOutput(path)
}

async function openWhole(path: string): Promise<Output> {
  const target = await targetOf(path)
  const temporary = join(dirname(target), `.sluice-${crypto.randomUUID()}.tmp`)
  const before = await stat(target).catch(() => undefined)
  await refuseProtected(target, before)
  const file = await open(temporary, 'wx', before === undefined ? 0o666 : 0o600)
  const forget = beforeEnding(() => rmSync(temporary, { force: true }))
  const finish = async () => {
    if (before !== undefined) {
      // Whoever may write to a file of somebody else's may still not make it his.
      await file.chown(before.uid, before.gid).catch(() => {})
      await file.chmod(before.mode & 0o777)
    }
    await file.sync()
    await file.close()
    await rename(temporary, target)
  }
  const close = async () => {
    await file.close()
    await rm(temporary, { force: true })
    forget()
  }
  return {
    write: (text) => explained(path, file.appendFile(text)),
    finish: () => explained(path, finish()),
    close: () => explained(path, close()),
  }
}

/** A file would be replaced whatever its own mode; but somebody may have protected it. */
async function refuseProtected(target: string, stats: Stats | undefined): Promise<void> {
  if (stats !== undefined) await access(target, constants.W_OK)
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
