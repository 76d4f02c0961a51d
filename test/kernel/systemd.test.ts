import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'

const run = promisify(execFile)
const unit = readFileSync(new URL('../../packaging/systemd/sluice.service', import.meta.url), 'utf8')

let directory: string
let copy: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-unit-'))
  copy = join(directory, 'sluice.service')
  // Verification looks for the program, which is not installed where this test runs.
  writeFileSync(copy, unit.replaceAll('/usr/bin/sluice', process.execPath))
})

afterEach(() => rmSync(directory, { recursive: true }))

test('systemd finds nothing to complain about in the unit', async () => {
  expect(await run('systemd-analyze', ['verify', '--man=no', copy])).toEqual({ stdout: '', stderr: '' })
})

test('systemd does complain about a unit with a mistake', async () => {
  writeFileSync(copy, readFileSync(copy, 'utf8').replace('ProtectHome=yes', 'ProtectHom=yes'))
  const { stderr } = await run('systemd-analyze', ['verify', '--man=no', copy])
  expect(stderr).toContain('ProtectHom')
})

test('the exposure is at most 2.0', async () => {
  // --threshold counts tenths; beyond it the exit status is not 0, and `run` throws.
  const { stdout } = await run('systemd-analyze', [
    'security',
    '--offline=yes',
    '--threshold=20',
    '--no-pager',
    copy,
  ])
  expect(Number(/exposure level for \S+: (\d+\.\d)/.exec(stdout)?.[1])).toBeLessThanOrEqual(2)
})
