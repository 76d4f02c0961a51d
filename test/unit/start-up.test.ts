import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { PROGRAM } from '../lib/sluice.ts'

/** Has Node write the address of each module that it loads to standard error. */
const HOOKS =
  'export async function load(url, ...rest) { process._rawDebug(url); return rest[1](url, rest[0]) }'
const LISTING = `import { register } from 'node:module'; register(${JSON.stringify(dataUrl(HOOKS))})`

function dataUrl(script: string): string {
  return `data:text/javascript,${encodeURIComponent(script)}`
}

/** The files that the built program loads, addon and CommonJS left out. */
function filesLoadedBy(...args: string[]): string[] {
  const { status, stderr } = spawnSync(process.execPath, ['--import', dataUrl(LISTING), PROGRAM, ...args], {
    encoding: 'utf8',
  })
  expect(status).toBe(0)
  return stderr.split('\n').filter((line) => line.startsWith('file:'))
}

test('a replay opens few files, and none that only the daemon needs', () => {
  const files = filesLoadedBy('replay', 'pcaps/ssh-ansible.pcap.gz', '--config', 'rules/sluice.yaml')
  // With a file for each module there are 280.
  expect(files.length).toBeLessThan(60)
  expect(files.filter((file) => /node_modules|daemon/.test(file))).toEqual([])
})

test('the bundled path has constants, not variables, which V8 would have to look up for each packet', () => {
  const chunks = join(dirname(PROGRAM), 'chunks')
  const text = readdirSync(chunks).map((file) => readFileSync(join(chunks, file), 'utf8'))
  const declared = text.join('\n').match(/^\w+(?= (\{ withinLimit: )?WITHIN_LIMIT\b)/gm)
  expect(new Set(declared)).toEqual(new Set(['const']))
})
