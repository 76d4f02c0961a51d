import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createProgram } from '../../src/cli/program.ts'
import { checkReportPath, writeWhole } from '../../src/cli/whole-file.ts'
import { EXIT, Failure } from '../../src/failure.ts'
import { eventually } from '../lib/eventually.ts'
import { writeScene } from '../lib/report.ts'
import { Scratch } from '../lib/scratch.ts'

const scratch = new Scratch()
afterAll(() => scratch.close())
const scene = writeScene(scratch.path('scene.pcap'))
const rules = scratch.path('sluice.yaml')
writeFileSync(rules, 'services: {ssh: {ports: [22], limits: {source: {burst: 3, rate: 1/h}}}}\n')

beforeEach(() => void vi.spyOn(console, 'log').mockImplementation(() => {}))
afterEach(() => vi.restoreAllMocks())

async function replay(...argv: string[]): Promise<void> {
  const program = await createProgram(['replay'], '0.1.0')
  await program.parseAsync(['replay', ...argv, '--config', rules], { from: 'user' })
}

async function failureOf(action: Promise<void>): Promise<Failure> {
  const error = await action.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(error instanceof Failure)) throw error ?? new Error('it did not fail')
  return error
}

/** A new directory, which has nothing in it but what the test puts there. */
function directory(name: string): string {
  const path = scratch.path(name)
  mkdirSync(path)
  return path
}

test('a link is followed, and the file behind it replaced as a whole', async () => {
  const place = directory('link')
  writeFileSync(`${place}/old.html`, 'old '.repeat(100))
  symlinkSync(`${place}/old.html`, `${place}/link.html`)
  await checkReportPath(`${place}/link.html`)
  await writeWhole(`${place}/link.html`, 'new')
  expect(readFileSync(`${place}/old.html`, 'utf8')).toBe('new')
  expect(readdirSync(place)).toEqual(['link.html', 'old.html'])
})

test('mode and owner stay', async () => {
  const path = scratch.path('private.html')
  writeFileSync(path, 'old', { mode: 0o600 })
  chownSync(path, 65_534, 65_534)
  await writeWhole(path, 'new')
  expect(readFileSync(path, 'utf8')).toBe('new')
  const { mode, uid, gid } = statSync(path)
  expect([mode & 0o777, uid, gid]).toEqual([0o600, 65_534, 65_534])
})

test('a report that cannot be put in its place leaves nothing behind', async () => {
  const place = directory('busy')
  mkdirSync(`${place}/r.html`)
  const { status, message } = await failureOf(writeWhole(`${place}/r.html`, 'text'))
  expect(status).toBe(EXIT.cannotCreate)
  expect(message).toMatch(/r\.html: cannot write: EISDIR: illegal operation on a directory$/)
  expect(readdirSync(place)).toEqual(['r.html'])
})

describe('sluice replay --report', () => {
  test('writes the same page twice', async () => {
    const paths = [scratch.path('one.html'), scratch.path('two.html')] as const
    for (const path of paths) await replay(scene, '--report', path)
    const [one, two] = paths.map((path) => readFileSync(path, 'utf8'))
    expect(one).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/)
    expect(one === two).toBe(true)
  })

  test('does so beside CSV on standard output', async () => {
    const write = vi.spyOn(process.stdout, 'write').mockImplementation((...args: unknown[]) => {
      const done = args.at(-1)
      if (typeof done === 'function') done()
      return true
    })
    await replay(scene, '--csv', '-', '--report', scratch.path('csv.html'))
    expect(write).toHaveBeenCalled()
    expect(existsSync(scratch.path('csv.html'))).toBe(true)
  })

  test('reports on a broken capture as far as it goes, with a note', async () => {
    const cut = scratch.path('cut.pcap')
    writeFileSync(cut, readFileSync(scene).subarray(0, -10))
    const { status } = await failureOf(replay(cut, '--report', scratch.path('cut.html')))
    expect(status).toBe(EXIT.dataError)
    expect(readFileSync(scratch.path('cut.html'), 'utf8')).toMatch(/<li>broken at byte \d+, packet 5140: /)
  })

  test.each<[what: string, path: () => string, status: number, message: RegExp]>([
    [
      'a missing directory',
      () => '/nix/r.html',
      EXIT.cannotCreate,
      /^\/nix\/r\.html: cannot write: ENOENT: no such file or directory$/,
    ],
    [
      'a directory',
      () => directory('d.html'),
      EXIT.cannotCreate,
      /d\.html: cannot write: not a regular file$/,
    ],
    ['a file as a directory', () => `${scene}/r.html`, EXIT.cannotCreate, /ENOTDIR: not a directory$/],
    [
      'another capture, by mistake',
      () => scratch.path('other.pcap'),
      EXIT.usage,
      /other\.pcap: a report is a page of HTML$/,
    ],
    ['standard output', () => '-', EXIT.usage, /^-: a report is a page of HTML$/],
  ])('%s: one message before anything is replayed', async (_, path, status, message) => {
    const failed = await failureOf(replay(scratch.path('missing.pcap'), '--report', path()))
    expect({ status: failed.status, message: failed.message }).toEqual({
      status,
      message: expect.stringMatching(message),
    })
    expect(console.log).not.toHaveBeenCalled()
  })
})

describe('sluice replay --csv', () => {
  test('puts its file in place of another, with mode and owner of that', async () => {
    const place = directory('csv')
    writeFileSync(`${place}/d.csv`, 'old', { mode: 0o640 })
    chownSync(`${place}/d.csv`, 65_534, 65_534)
    await replay(scene, '--csv', `${place}/d.csv`)
    expect(readFileSync(`${place}/d.csv`, 'utf8')).toMatch(/^time,source,.*\n20/)
    const { mode, uid, gid } = statSync(`${place}/d.csv`)
    expect([mode & 0o777, uid, gid]).toEqual([0o640, 65_534, 65_534])
    expect(readdirSync(place)).toEqual(['d.csv'])
  })

  test('writes what could be read of a broken capture', async () => {
    const place = directory('broken')
    writeFileSync(`${place}/d.csv`, 'old')
    writeFileSync(`${place}/cut.pcap`, readFileSync(scene).subarray(0, -10))
    const { status } = await failureOf(replay(`${place}/cut.pcap`, '--csv', `${place}/d.csv`))
    expect(status).toBe(EXIT.dataError)
    expect(readFileSync(`${place}/d.csv`, 'utf8').split('\n').length).toBeGreaterThan(800)
    expect(readdirSync(place)).toEqual(['cut.pcap', 'd.csv'])
  })

  /** Replays `scene` as if it were live: nothing ends it. @returns once some of the CSV is written */
  async function replayLive(place: string) {
    writeFileSync(`${place}/d.csv`, 'old')
    const options = ['--config', rules, '--csv', `${place}/d.csv`, '--local', '192.0.2.1']
    const args = ['dist/main.js', 'replay', '-', ...options]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'inherit'] })
    const ended = once(child, 'exit')
    child.stdin.write(readFileSync(scene))
    await eventually('lines of the CSV', () =>
      readdirSync(place).some((name) => statSync(`${place}/${name}`).size > 1000),
    )
    return { child, ended }
  }

  test('of a live capture that Ctrl-C ends has all that came', async () => {
    const place = directory('live')
    const { child, ended } = await replayLive(place)
    child.kill('SIGINT')
    expect(await ended).toEqual([0, null])
    const whole = directory('whole')
    await replay(scene, '--csv', `${whole}/d.csv`, '--local', '192.0.2.1')
    expect(readFileSync(`${place}/d.csv`, 'utf8')).toBe(readFileSync(`${whole}/d.csv`, 'utf8'))
    expect(readdirSync(place)).toEqual(['d.csv'])
  })

  // The first Ctrl-C only ends the capture, within a second.
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'ended by %s, as often as it takes, leaves what was there, and nothing else',
    async (signal) => {
      const place = directory(signal)
      const { child, ended } = await replayLive(place)
      child.kill(signal)
      const again = setInterval(() => child.kill(signal), 100)
      void ended.then(() => clearInterval(again))
      expect(await ended).toEqual([null, signal])
      expect(readdirSync(place)).toEqual(['d.csv'])
      expect(readFileSync(`${place}/d.csv`, 'utf8')).toBe('old')
    },
  )

  test('writes to what standard output is at once, even where that is a file', async () => {
    const place = directory('stdout')
    const out = openSync(`${place}/out`, 'w')
    const args = ['dist/main.js', 'replay', scene, '--config', rules, '--csv', '/dev/stdout']
    const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', out, 'inherit'] })
    closeSync(out)
    expect(status).toBe(0)
    expect(readFileSync(`${place}/out`, 'utf8')).toContain('Limited')
  })
})
