import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pcapHeader, pcapRecord } from '../lib/capture-files.ts'
import { packet } from '../lib/packets.ts'
import { Scratch } from '../lib/scratch.ts'

const RAW_IP = 101
const SOURCES = 250_000

/** Of which all but the first are refused. */
const POLICY = `
services:
  ssh: {ports: [22], limits: {source: {burst: 1, rate: 1/d}, total: {burst: 1, rate: 1/d}}}
`
/** In MB. Everything but lists of what was seen takes some 20. */
const HEAP = 48

const scratch = new Scratch()
const policy = scratch.path('sluice.yaml')
const capture = scratch.path('flood.pcap')

beforeAll(() => {
  writeFileSync(policy, POLICY)
  writeFileSync(capture, flood())
})
afterAll(() => scratch.close())

describe('a flood from a quarter of a million sources, each seen once', () => {
  test('is told of in a small heap', () => {
    const { status, stdout } = run('replay', capture)
    expect(status).toBe(0)
    expect(stdout).toContain('250,000')
  })

  test('is told of as JSON in a small heap, source for source', () => {
    const { status, stdout } = run('replay', capture, '--json')
    expect(status).toBe(0)
    expect(JSON.parse(stdout).policy.sources.length).toBeGreaterThan(200_000)
  })

  test('is tuned on in a small heap', () => {
    const { status, stdout } = run('tune', '--honest', capture, '--json')
    expect(status).toBe(0)
    expect(JSON.parse(stdout).services[0].sources).toBe(65_536)
  })
})

function run(...argv: readonly string[]) {
  const args = [`--max-old-space-size=${HEAP}`, 'dist/main.js', ...argv, '--config', policy]
  return spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 2 ** 28 })
}

function flood(): Buffer {
  const bytes = packet({ from: '198.18.0.0', port: 22 })
  const record = pcapRecord({ seconds: 1_700_000_000, fraction: 0, bytes })
  const all = Buffer.alloc(SOURCES * record.length)
  const addressAt = record.length - bytes.length + 12
  for (let i = 0; i < SOURCES; i++) {
    const at = i * record.length
    record.copy(all, at)
    all.writeUInt32LE(i, at + 4)
    all.writeUInt32BE(0x0b000000 + 7 * i, at + addressAt)
  }
  return Buffer.concat([pcapHeader({ linkType: RAW_IP }), all])
}
