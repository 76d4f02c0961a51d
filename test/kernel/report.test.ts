import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { writeScene } from '../lib/report.ts'
import { Scratch } from '../lib/scratch.ts'

const scratch = new Scratch()
afterAll(() => scratch.close())

test('a full disk leaves the report of before, and nothing half-written', () => {
  const scene = writeScene(scratch.path('scene.pcap'))
  const rules = scratch.path('sluice.yaml')
  writeFileSync(rules, 'services: {ssh: {ports: [22], limits: {source: {burst: 3, rate: 1/h}}}}\n')
  const disk = scratch.path('disk')
  mkdirSync(disk)
  const script = `
    mount -t tmpfs -o size=8k none "$1" && echo before >"$1/r.html"
    ${process.execPath} dist/main.js replay "$2" --config "$3" --report "$1/r.html" >"$4/table"
    echo "status $?"; ls -A "$1"; cat "$1/r.html"`
  const args = ['--mount', 'sh', '-c', script, 'sh', disk, scene, rules, scratch.directory]
  const { stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8' })
  expect(stdout).toBe(`status ${EXIT.cannotCreate}\nr.html\nbefore\n`)
  expect(stderr).toBe(`sluice: ${disk}/r.html: cannot write the report: ENOSPC: no space left on device\n`)
})
