import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { httpOrigin, serveHttp } from '../../src/control/metrics/http.ts'
import { EXIT } from '../../src/failure.ts'

const ADDRESS = '127.0.0.1'
const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end()
  vi.useRealTimers()
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, ADDRESS)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function serve(changes: Partial<Parameters<typeof serveHttp>[0]> = {}) {
  const port = await freePort()
  const options = {
    address: ADDRESS,
    port,
    metrics: async () => ({ type: 'text/plain; version=0.0.4', body: 'up 1\n' }),
    problems: () => [] as string[],
    ...changes,
  }
  ends.push(await serveHttp(options))
  return { port, get: (path: string, init?: RequestInit) => fetch(`${httpOrigin(options)}${path}`, init) }
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, ADDRESS).on('error', () => {})
  ends.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Not by `once`, which rejects when the connection is reset. */
function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

/** The status line of one answer; by then the server has accepted every connection before this one. */
async function ping(port: number): Promise<string> {
  const socket = await open(port)
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
  const [answer] = await once(socket, 'data')
  await closing(socket)
  return String(answer).split('\r\n')[0] ?? ''
}

describe('the metrics server', () => {
  test('serves the exposition with its type, and ends the connection', async () => {
    const response = await (await serve()).get('/metrics?x=1')
    expect([response.status, await response.text()]).toEqual([200, 'up 1\n'])
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4')
    expect(response.headers.get('connection')).toBe('close')
  })

  test('answers HEAD without a body', async () => {
    const response = await (await serve()).get('/metrics', { method: 'HEAD' })
    expect([response.status, await response.text()]).toEqual([200, ''])
    expect(response.headers.get('content-length')).toBe('5')
  })

  test.each([
    ['/healthz', [], 200, 'ok\n'],
    ['/healthz', ['chain gone', 'thread dead'], 503, 'chain gone\nthread dead\n'],
    ['/', [], 404, 'there is only /metrics and /healthz\n'],
    ['/metrics/../etc/passwd', [], 404, 'there is only /metrics and /healthz\n'],
  ])('%s with problems %j: %i', async (path, problems, status, body) => {
    const response = await (await serve({ problems: () => problems })).get(path)
    expect([response.status, await response.text()]).toEqual([status, body])
  })

  test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s is not served', async (method) => {
    const response = await (await serve()).get('/metrics', { method })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })

  test('a failure to collect ends that connection only', async () => {
    let isBroken = true
    const metrics = async () => {
      if (isBroken) throw new Error('broken')
      return { type: 'text/plain', body: 'up 1\n' }
    }
    const { get } = await serve({ metrics })
    await expect(get('/metrics')).rejects.toThrow()
    isBroken = false
    expect((await get('/metrics')).status).toBe(200)
  })

  test('a client that never finishes its request is cut off', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { port } = await serve()
    const socket = await open(port)
    socket.write('GET /metrics HTTP/1.1\r\nHost: ')
    await ping(port)
    const closed = closing(socket)
    vi.advanceTimersByTime(10_000)
    await closed
  })

  test('a client that reads nothing is cut off', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { port } = await serve({ metrics: async () => ({ type: 'text/plain', body: 'x'.repeat(50e6) }) })
    const socket = await open(port)
    socket.pause().write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(socket, 'readable')
    vi.advanceTimersByTime(10_000)
    const closed = closing(socket)
    let bytes = 0
    socket.on('data', (chunk) => {
      bytes += chunk.length
    })
    await closed
    expect(bytes).toBeLessThan(50e6)
  })

  test('has room for a scrape after idle clients have filled it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { port } = await serve()
    const sockets = await Promise.all(Array.from({ length: 32 }, () => open(port)))
    const oneTooMany = await open(port)
    await closing(oneTooMany)
    const closed = Promise.all(sockets.map(closing))
    vi.advanceTimersByTime(10_000)
    await closed
    expect(await ping(port)).toBe('HTTP/1.1 200 OK')
  })
})

describe('a listener that cannot be had', () => {
  test('a taken port is named, with how to find out who has it', async () => {
    const { port } = await serve()
    const second = serveHttp({
      address: ADDRESS,
      port,
      metrics: async () => ({ type: '', body: '' }),
      problems: () => [],
    })
    await expect(second).rejects.toMatchObject({
      status: EXIT.inUse,
      message: `cannot serve metrics on http://127.0.0.1:${port}: the port is taken`,
      remedy: expect.stringContaining(`sport = :${port}`),
    })
  })

  test('an address of another host is named', async () => {
    await expect(serve({ address: '192.0.2.1' })).rejects.toMatchObject({
      status: EXIT.unavailable,
      message: expect.stringContaining('http://192.0.2.1:'),
    })
  })

  test('an IPv6 address stands in brackets', () => {
    expect(httpOrigin({ address: '::1', port: 9713 })).toBe('http://[::1]:9713')
  })
})
