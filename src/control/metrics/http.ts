import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { isIPv6 } from 'node:net'
import { EXIT, Failure } from '../../failure.ts'

/** Connections at the same time; further ones are closed at once. */
const CONNECTIONS_MAX = 32
/** From accept to close, however slowly the client sends or reads. */
const CONNECTION_MS = 10_000

export interface HttpOptions {
  readonly address: string
  readonly port: number
  /** The exposition text and its content type. */
  readonly metrics: () => Promise<{ readonly type: string; readonly body: string }>
  /** What is wrong; empty: healthy. */
  readonly problems: () => readonly string[]
}

/**
 * Serves /metrics and /healthz, to GET and HEAD, one request a connection. Returns the function that ends it.
 *
 * @throws Failure (inUse) if the port is taken, (unavailable) if the address is not this host's.
 */
export async function serveHttp(options: HttpOptions): Promise<() => void> {
  const server = createServer(
    { maxHeaderSize: 8192, requestTimeout: CONNECTION_MS, headersTimeout: CONNECTION_MS },
    (request, response) => {
      respond(options, request, response).catch(() => response.destroy())
    },
  )
  server.maxConnections = CONNECTIONS_MAX
  server.on('connection', (socket) => {
    const deadline = setTimeout(() => socket.destroy(), CONNECTION_MS).unref()
    socket.once('close', () => clearTimeout(deadline))
  })
  await listen(server, options)
  return () => {
    server.close()
    server.closeAllConnections()
  }
}

/** `http://127.0.0.1:9713`, with brackets around an IPv6 address. */
export function httpOrigin({ address, port }: { readonly address: string; readonly port: number }): string {
  return `http://${isIPv6(address) ? `[${address}]` : address}:${port}`
}

async function respond(
  options: HttpOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.setHeader('Connection', 'close')
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD')
    return send(response, 405, 'only GET and HEAD are served\n')
  }
  const [path] = (request.url ?? '').split('?')
  if (path === '/metrics') {
    const { type, body } = await options.metrics()
    return send(response, 200, body, type)
  }
  if (path === '/healthz') {
    const problems = options.problems()
    if (problems.length === 0) return send(response, 200, 'ok\n')
    return send(response, 503, `${problems.join('\n')}\n`)
  }
  send(response, 404, 'there is only /metrics and /healthz\n')
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) })
  // Node leaves the body out of the answer to a HEAD.
  response.end(body)
}

function listen(server: Server, { address, port }: HttpOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error, address, port)))
    server.listen(port, address, resolve)
  })
}

function cannotListen(error: NodeJS.ErrnoException, address: string, port: number): Failure {
  const origin = httpOrigin({ address, port })
  if (error.code === 'EADDRINUSE') {
    const remedy = `"ss -ltnp sport = :${port}" shows who listens there; set metrics.port to a free one, or metrics: off`
    return new Failure(EXIT.inUse, `cannot serve metrics on ${origin}: the port is taken`, remedy)
  }
  if (error.code === 'EADDRNOTAVAIL') {
    const remedy = 'set metrics.address to an address of this host, such as 127.0.0.1'
    return new Failure(EXIT.unavailable, `cannot serve metrics on ${origin}: no address of this host`, remedy)
  }
  if (error.code === 'EACCES') {
    const remedy = 'set metrics.port to a number above 1023, or add CAP_NET_BIND_SERVICE'
    return new Failure(EXIT.noPermission, `cannot serve metrics on ${origin}: not permitted`, remedy)
  }
  return new Failure(EXIT.osError, `cannot serve metrics on ${origin}: ${error.code}`)
}
