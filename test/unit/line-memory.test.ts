import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { lineMemory } from '../../src/path/line-memory.ts'

const MODULE = new URL('../../dist/path/line-memory.js', import.meta.url).href

describe('memory for tables', () => {
  test.each([64, 2 ** 20 - 1, 2 ** 20, 3 * 2 ** 20 + 1])(
    'of %d bytes is shared, zeroed and large enough',
    (bytes) => {
      const memory = lineMemory(bytes)
      expect(memory).toBeInstanceOf(SharedArrayBuffer)
      expect(memory.byteLength).toBeGreaterThanOrEqual(bytes)
      expect(new Uint8Array(memory).every((byte) => byte === 0)).toBe(true)
    },
  )

  test('is there too where addresses are few', () => {
    const program = `
      const { lineMemory } = await import(${JSON.stringify(MODULE)})
      const kept = Array.from({ length: 8 }, () => lineMemory(2 ** 20 + 1))
      console.log(JSON.stringify(kept.map(({ byteLength }) => byteLength)))`
    const node = [process.execPath, '--input-type=module', '-e', program]
    const sizes = execFileSync('prlimit', [`--as=${32 * 2 ** 30}`, ...node], { encoding: 'utf8' })
    // WebAssembly's are whole pages: at most three of them have found their addresses.
    expect(new Set(JSON.parse(sizes))).toEqual(new Set([17 * 2 ** 16, 2 ** 20 + 1]))
  })
})
