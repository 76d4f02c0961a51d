import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { EXIT } from '../../src/failure.ts'
import { writeScene } from '../lib/report.ts'
import { Scratch } from '../lib/scratch.ts'

const scratch = new Scratch()
afterAll(() => scratch.close())

const scene = writeScene(scratch.path('scene.pcap'))
const rules = scratch.path('sluice.yaml')
writeFileSync(rules, 'services: {ssh: {ports: [22], limits: {source: {burst: 3, rate: 1/h}}}}\n')

test.each([
  ['the report', 'r.html', 8, ['replay', '--config', rules, scene, '--report']],
  ['the decisions', 'd.csv', 8, ['replay', '--config', rules, scene, '--csv']],
  ['the proposed policy', 'p.yaml', 4, ['tune', '--config', rules, '--honest', scene, '--yaml']],
])('a full disk leaves %s of before, and nothing half-written', (_, name, kilobytes, command) => {
  const disk = scratch.path(name.slice(2))
  mkdirSync(disk)
  const script = `
    cd "$1" && mount -t tmpfs -o size=${kilobytes}k none "$1" && cd "$1" && echo before >${name}
    main=$2; table=$3; shift 3
    ${process.execPath} "$main" "$@" "$PWD/${name}" >"$table"
    echo "status $?"; ls -A; cat ${name}`
  const main = `${process.cwd()}/dist/main.js`
  const args = ['--mount', 'sh', '-c', script, 'sh', disk, main, scratch.path('table')]
  const { stdout, stderr } = spawnSync('unshare', [...args, ...command], { encoding: 'utf8' })
  expect(stdout).toBe(`status ${EXIT.cannotCreate}\n${name}\nbefore\n`)
  expect(stderr).toBe(`sluice: ${disk}/${name}: cannot write: ENOSPC: no space left on device\n`)
})
