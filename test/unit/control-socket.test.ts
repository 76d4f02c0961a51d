import { once } from 'node:events'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { ask } from '../../src/control/requests/client.ts'
import { openControlSocket } from '../../src/control/requests/control-socket.ts'
import { REQUEST_BYTES_MAX } from '../../src/control/requests/protocol.ts'
import { parseRequest, type Request } from '../../src/control/requests/requests.ts'
import { EXIT, Failure } from '../../src/failure.ts'
import { NetlinkError } from '../../src/kernel/netlink-error.ts'
import { Scratch } from '../lib/scratch.ts'
import { TestLog } from '../lib/test-log.ts'

const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end()
})

async function listen(
  handle: (request: Request) => Promise<unknown> = async () => 'answered',
  group = 'no-such-group',
) {
  const scratch = new Scratch()
  ends.push(() => scratch.close())
  const path = scratch.path('control.sock')
  const { log, lines } = new TestLog()
  const close = await openControlSocket({ path, group, handle, log })
  ends.push(close)
  return { path, close, lines, log }
}

/** Everything that comes back after `bytes`, until the server ends the connection. */
async function talk(path: string, bytes: string | Uint8Array): Promise<string> {
  const socket = connect(path)
  let answer = ''
  socket.setEncoding('utf8').on('data', (text) => {
    answer += text
  })
  socket.on('error', () => {})
  socket.end(bytes)
  await once(socket, 'close')
  return answer
}

describe('the control socket', () => {
  test('is for owner and group only', async () => {
    const { path, lines } = await listen()
    expect(statSync(path).mode & 0o777).toBe(0o660)
    expect(lines[0]).toMatch(/^info no-control-group: there is no group "no-such-group"/)
  })

  test('belongs to its group', async () => {
    // Of Debian's base-passwd. To give a file to others takes root, as whom the tests run.
    const { path, lines } = await listen(undefined, 'adm')
    expect(statSync(path).gid).toBe(4)
    expect(lines).toEqual([])
  })

  test('answers requests in order', async () => {
    const { path } = await listen(async ({ op }) => op)
    expect(await talk(path, '{"op":"status"}\n{"op":"bans list"}\n')).toBe(
      '{"ok":true,"result":"status"}\n{"ok":true,"result":"bans list"}\n',
    )
  })

  test('takes its file with it when it closes', async () => {
    const { path, close } = await listen()
    close()
    expect(existsSync(path)).toBe(false)
  })

  test('refuses a place where a daemon answers', async () => {
    const { path, log } = await listen()
    const second = openControlSocket({ path, group: 'root', handle: async () => {}, log })
    await expect(second).rejects.toMatchObject({ status: EXIT.inUse })
    expect(await ask(path, { op: 'status' })).toBe('answered')
  })

  test('refuses to replace a file that is no socket', async () => {
    const { path, log } = await listen()
    writeFileSync(`${path}.txt`, 'precious')
    const second = openControlSocket({ path: `${path}.txt`, group: 'root', handle: async () => {}, log })
    await expect(second).rejects.toMatchObject({ status: EXIT.osError })
    expect(existsSync(`${path}.txt`)).toBe(true)
  })

  test('hands a refusal to the client as it is', async () => {
    const { path } = await listen(async () => {
      throw new Failure(EXIT.refused, 'no', 'ask nicely')
    })
    const error = await ask(path, { op: 'status' }).catch((each: unknown) => each)
    expect(error).toBeInstanceOf(Failure)
    expect(error).toMatchObject({ status: EXIT.refused, message: 'no', remedy: 'ask nicely' })
  })

  test.each([
    [new NetlinkError('list sets', 'ENOBUFS'), EXIT.osError, 'cannot list sets: ENOBUFS'],
    [new TypeError('x is not a function'), EXIT.software, 'a defect in sluice: its log says more'],
  ])('%s in a handler is answered, and the daemon lives', async (error, status, message) => {
    const { path } = await listen(async () => {
      throw error
    })
    await expect(ask(path, { op: 'status' })).rejects.toMatchObject({ status, message })
  })

  test.each([
    ['bytes that are no JSON', 'garbage\n'],
    ['bytes that are no UTF-8', Uint8Array.from([0xff, 0xfe, 0, 0x0a])],
    ['JSON that is no request', '{"op":"format"}\n'],
    ['an endless line', 'x'.repeat(REQUEST_BYTES_MAX + 70_000)],
    ['a line that is too long', `${'x'.repeat(REQUEST_BYTES_MAX + 70_000)}\n`],
  ])('%s: one answer, and the end', async (_, bytes) => {
    const { path } = await listen()
    const answers = (await talk(path, bytes)).trimEnd().split('\n')
    expect(answers).toHaveLength(1)
    expect(JSON.parse(answers[0]!)).toMatchObject({ ok: false, status: EXIT.usage })
    expect(await ask(path, { op: 'status' })).toBe('answered')
  })

  test('a client too many is told so', async () => {
    const { path } = await listen()
    const clients = Array.from({ length: 16 }, () => connect(path))
    for (const client of clients) ends.push(() => client.destroy())
    await Promise.all(clients.map((client) => once(client, 'connect')))
    await expect(ask(path, { op: 'status' })).rejects.toMatchObject({ status: EXIT.inUse })
    const [first] = clients
    first!.destroy()
    await once(first!, 'close')
    await expect.poll(() => ask(path, { op: 'status' }).catch(() => 'refused')).toBe('answered')
  })
})

describe('without a daemon', () => {
  test('the client says how to get one', async () => {
    const error = await ask('/nonexistent/control.sock', { op: 'status' }).catch((each: unknown) => each)
    expect(error).toMatchObject({
      status: EXIT.unavailable,
      message: 'no daemon answers on /nonexistent/control.sock',
      remedy: 'start it with "systemctl start sluice" or "npm start"; --socket PATH names another one',
    })
  })
})

describe('requests', () => {
  test.each<[string, Request]>([
    ['{"op":"status"}', { op: 'status' }],
    [
      '{"op":"bans add","prefix":"192.0.2.1","seconds":60,"service":"ssh","reason":"Grüße"}',
      { op: 'bans add', prefix: '192.0.2.1', seconds: 60, service: 'ssh', reason: 'Grüße' },
    ],
  ])('%s', (line, request) => {
    expect(parseRequest(line)).toEqual(request)
  })

  test.each([
    '',
    '[]',
    'null',
    '"status"',
    '{}',
    '{"op":"status","more":1}',
    '{"op":"bans add"}',
    '{"op":"bans add","prefix":"192.0.2.1","seconds":0}',
    '{"op":"bans add","prefix":"192.0.2.1","seconds":2147484}',
    '{"op":"bans add","prefix":"192.0.2.1","seconds":1.5}',
    '{"op":"bans add","prefix":"192.0.2.1","reason":"\\u001b[2J"}',
    '{"op":"bans add","prefix":"192.0.2.1","reason":"a\\nb"}',
    `{"op":"bans add","prefix":"192.0.2.1","reason":"${'x'.repeat(201)}"}`,
    '{"op":"__proto__"}',
  ])('%s is refused in words', (line) => {
    expect(parseRequest(line)).toMatch(/^not understood: /)
  })

  test('whatever comes, the answer is a request of the closed list or one line of words', () => {
    const ops = [
      'status',
      'reload',
      'bans list',
      'bans add',
      'bans remove',
      'allow list',
      'allow add',
      'allow remove',
    ]
    const fields = fc.dictionary(
      fc.oneof(fc.constantFrom('prefix', 'seconds', 'service', 'reason', '__proto__'), fc.string()),
      fc.jsonValue(),
    )
    const nearly = fc
      .tuple(fc.constantFrom(...ops), fields)
      .map(([op, rest]) => JSON.stringify({ ...rest, op }))
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), nearly), (line) => {
        const result = parseRequest(line)
        if (typeof result !== 'string') expect(ops).toContain(result.op)
        else expect(result).toMatch(/^not understood: /)
      }),
    )
  })
})
