// TCP that carries something: a server that greets with so many bytes, and a client that waits for them, sends
// as many, and stays for a while.
// node talker.mjs serve PORT BYTES                        writes "listening" when it does
// node talker.mjs talk TO PORT FROM BYTES STAY_MS COUNT   writes "open" when all are answered; Unix ms when all are closed
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const [what, ...args] = process.argv.slice(2)

if (what === 'serve') {
  const [port, bytes] = args.map(Number)
  const server = createServer((socket) =>
    socket
      .on('error', () => {})
      .on('data', () => {})
      .write(Buffer.alloc(bytes)),
  )
  server.listen(port, '::')
  await once(server, 'listening')
  console.log('listening')
} else {
  const [host, port, localAddress, bytes, stayMs, count] = args
  const sockets = await Promise.all(
    Array.from({ length: Number(count) }, async () => {
      const socket = connect({ host, port: Number(port), localAddress })
      await once(socket, 'data')
      socket.write(Buffer.alloc(Number(bytes)))
      return socket
    }),
  )
  console.log('open')
  await sleep(Number(stayMs))
  await Promise.all(sockets.map((socket) => once(socket.resume().end(), 'close')))
  console.log(Date.now())
}
