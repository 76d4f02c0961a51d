import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addonBuilds, runProgram } from '../lib/addon-builds.ts'
import { type Host, Lab } from '../lib/lab.ts'

const directory = mkdtempSync(join(tmpdir(), 'sluice-'))
let lab: Lab
let host: Host

beforeAll(() => {
  lab = Lab.create(['one'])
  host = lab.host('one')
})

afterAll(() => {
  lab?.close()
  rmSync(directory, { recursive: true, force: true })
})

/** A service manager that says when it listens, then prints the one datagram it gets. */
const MANAGER = `
import socket, sys
path = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('\\0' + path[1:] if path[0] == '@' else path)
print('listening', flush=True)
print(s.recv(4096).decode())
`

describe.each(addonBuilds())('sd_notify, by $name', (build) => {
  const notify = async (env: Record<string, string>, state = 'READY=1') => {
    const calls = JSON.stringify([['sdNotify', state]])
    const [answer] = await runProgram<unknown[]>(host, build, ['kernel', 'calls', calls], { env })
    return answer
  }

  test.each([
    { kind: 'a path', socket: join(directory, `notify-${build.preload.length}`) },
    {
      kind: 'the longest path',
      socket: join(directory, 'x'.repeat(105 - directory.length) + build.preload.length),
    },
    { kind: 'an abstract name', socket: `@sluice-${process.pid}-${build.preload.length}` },
  ])('a state goes to $kind', async ({ socket }) => {
    const args = ['netns', 'exec', host.namespace, 'python3', '-c', MANAGER, socket]
    const manager = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    manager.stdout.on('data', (data) => {
      said += data
    })
    const ended = once(manager, 'close')
    await once(manager.stdout, 'data')
    expect(await notify({ NOTIFY_SOCKET: socket }, 'RELOADING=1\nMONOTONIC_USEC=1')).toBe(true)
    await ended
    expect(said).toBe('listening\nRELOADING=1\nMONOTONIC_USEC=1\n')
  })

  test('without a service manager nothing is sent', async () => {
    expect(await notify({ NOTIFY_SOCKET: '' })).toBe(false)
  })

  test.each([
    { socket: '/nowhere/notify', code: 'ENOENT' },
    { socket: `/${'x'.repeat(200)}`, code: 'ENAMETOOLONG' },
  ])('a socket that is not there is named: $code', async ({ socket, code }) => {
    expect(await notify({ NOTIFY_SOCKET: socket })).toMatchObject({
      message: `cannot notify the service manager at ${socket}: ${code}`,
    })
  })
})
