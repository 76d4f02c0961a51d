import { createServer, type Server, type Socket } from 'node:net'

/** Longer lines end the connection. */
export interface LineServerOptions {
  /** Answers one line; must not reject. `isLast` ends the connection after the answer. */
  readonly answer: (line: string) => Promise<{ line: string; isLast: boolean }>
  /** What to say to a line that is longer than `lineBytesMax`. */
  readonly tooLong: string
  /** What to say to a client too many. */
  readonly tooMany: string
  readonly lineBytesMax: number
  readonly clientsMax: number
  /** A connection on which nothing moves for so long is closed. */
  readonly idleMs: number
}

/**
 * A server that answers lines with lines, one after the other. It assumes nothing about its clients: their
 * number, the length of a line and their silence are bounded, and bytes that are no UTF-8 do no harm.
 */
export function createLineServer(options: LineServerOptions): Server {
  let clients = 0
  return createServer({ allowHalfOpen: true }, (socket) => {
    socket.setTimeout(options.idleMs, () => socket.destroy())
    // A client that goes away in the middle is its own problem.
    socket.on('error', () => {})
    if (clients >= options.clientsMax) {
      socket.end(`${options.tooMany}\n`)
      return
    }
    clients++
    socket.once('close', () => clients--)
    void serve(socket, options)
  })
}

async function serve(socket: Socket, { answer, tooLong, lineBytesMax }: LineServerOptions): Promise<void> {
  let waiting = Buffer.alloc(0)
  try {
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      waiting = Buffer.concat([waiting, chunk as Buffer])
      for (let end = waiting.indexOf('\n'); end >= 0; end = waiting.indexOf('\n')) {
        if (end > lineBytesMax) break
        const { line, isLast } = await answer(waiting.toString('utf8', 0, end))
        waiting = waiting.subarray(end + 1)
        socket.write(`${line}\n`)
        if (isLast) return
      }
      if (waiting.length > lineBytesMax) {
        socket.write(`${tooLong}\n`)
        return
      }
    }
  } catch {
    // The client has gone, or its time was up.
  } finally {
    socket.end()
    // What it still sends is not read: without this the half-open connection would wait for its end.
    socket.resume()
  }
}
