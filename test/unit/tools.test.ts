import { spawnSync } from 'node:child_process'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { requireRoot, tool } from '../lib/tool.ts'

/** What one of the project's own programs says to `args`. */
function run(file: string, args: readonly string[]) {
  const node = ['--import', 'tsx', file, ...args]
  const env = { ...process.env, NO_COLOR: '1' }
  return spawnSync(process.execPath, node, { encoding: 'utf8', env })
}

const BENCH = 'test/bench/main.ts'

afterEach(() => vi.restoreAllMocks())

describe("the project's own programs", () => {
  test.each<[string, string[], RegExp]>([
    [BENCH, ['nonsense'], /^error: .*'nonsense' is invalid.*drain/],
    [BENCH, ['--nonsense'], /^error: unknown option '--nonsense'/],
    [BENCH, ['--rounds', 'many'], /^error: .*'--rounds <number>' argument 'many'.* a number, 1 or more/],
    [BENCH, ['--seconds', '0'], /^error: .*'0'.* a number, 0.1 or more/],
    ['test/bench/check.ts', ['nonsense'], /^error: too many arguments/],
    ['test/bench/soak.ts', ['--rate', '10'], /^error: .*'10'.* a number, 1000 or more/],
    ['test/record/main.ts', ['nonsense'], /^error: .*'nonsense' is invalid.*ssh/],
    ['test/measure/main.ts', ['--kind', 'pop3'], /^error: .*'pop3' is invalid.*ssh, smtp/],
  ])('%s %j: one message, and 64', (file, args, message) => {
    const { status, stderr, stdout } = run(file, args)
    expect(stderr).toMatch(message)
    expect(stderr).toMatch(/"npm run \S+ -- --help" says more\n$/)
    expect(stderr).not.toContain('    at ')
    expect([status, stdout]).toEqual([64, ''])
  })

  test('whoever may not make network namespaces is told so, with 77', () => {
    vi.spyOn(process, 'getuid').mockReturnValue(1000)
    const exit = vi.spyOn(process, 'exit').mockImplementation((status) => {
      throw new Error(`ended with ${status}`)
    })
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    expect(() => requireRoot(tool('npm run bench --', ''))).toThrow('ended with 77')
    expect(write.mock.calls[0]).toEqual(['error: it makes network namespaces: run it as root\n'])
    expect(exit).toHaveBeenCalledOnce()
  })

  test.each([BENCH, 'test/bench/soak.ts', 'test/record/main.ts', 'test/measure/main.ts'])(
    '%s --help says how to use it',
    (file) => {
      const { status, stdout } = run(file, ['--help'])
      expect(stdout).toMatch(/^Usage: npm run \S+ -- \[options\]/)
      expect(status).toBe(0)
    },
  )
})
