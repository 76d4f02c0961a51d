import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually } from '../lib/eventually.ts'
import { Scratch } from '../lib/scratch.ts'

const DEMO = new URL('../demo/demo.ts', import.meta.url).pathname

/**
 * `ip netns` keeps its list in /run, and this shell has one of its own: what is in there at the end, the demo
 * has left behind.
 */
const SCRIPT = `
  trap : INT TERM
  mount -t tmpfs tmpfs /run
  "$0" --import tsx "$1"
  status=$?
  ls /run/netns >"$TMPDIR/namespaces"
  exit $status`

let temporary: Scratch

beforeEach(() => {
  temporary = new Scratch()
})

afterEach(() => temporary.close())

/** In a process group of its own, which is what Ctrl-C on a terminal reaches. */
function start() {
  const child = spawn('unshare', ['--mount', 'sh', '-c', SCRIPT, process.execPath, DEMO], {
    env: { ...process.env, TMPDIR: temporary.directory },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  const demo = { child, output: '', ended: once(child, 'close').then(([status]) => status as number) }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    demo.output += text
  })
  return demo
}

function expectNothingLeft(): void {
  expect(readFileSync(temporary.path('namespaces'), 'utf8')).toBe('')
  // tsx keeps its cache in the same place.
  expect(readdirSync(temporary.directory).filter((name) => name.startsWith('sluice-'))).toEqual([])
}

test('the demo shows a ban over IPv4 and over IPv6, every honest login works, and nothing is left', async () => {
  const startMs = performance.now()
  const demo = start()
  expect(await demo.ended).toBe(0)
  expect(performance.now() - startMs).toBeLessThan(60_000)
  expect(demo.output).toContain('BANNED 203.0.113.66 from ssh')
  expect(demo.output).toContain('BANNED 2001:db8:bad::/64 from ssh')
  expect(demo.output).toMatch(/(\d+) of \1 logins worked/)
  expect(demo.output).not.toContain('\x1b')
  expectNothingLeft()
})

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s in the middle of it: status 130, and nothing is left',
  async (signal) => {
    const demo = start()
    await eventually('the attack is on', () => demo.output.includes('honest    logged in'), {
      withinMs: 20_000,
    })
    process.kill(-demo.child.pid!, signal)
    expect(await demo.ended).toBe(130)
    expect(demo.output).toContain('You have ended the demo.')
    expectNothingLeft()
  },
)
