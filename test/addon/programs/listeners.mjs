import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { procListeners } from '../../../dist/control/dns/proc-listeners.js'
import { listListeners } from '../../../dist/kernel/listeners.js'
import { main } from './lab.mjs'

async function serve(options) {
  const server = createServer((socket) => socket.unref())
  server.listen(options).unref()
  await once(server, 'listening')
}

async function visit(options) {
  const socket = connect(options)
  await once(socket, 'connect')
  socket.unref()
}

function inWords(listeners) {
  return listeners.map(({ family, bytes, port, inode }) => ({
    family,
    address: Buffer.from(bytes).toString('hex'),
    port,
    inode,
  }))
}

await main({
  /** `servers`: options of net.Server.listen(); `visits`: of net.connect(), of connections that stay; both in JSON. */
  async beside(servers, visits) {
    for (const options of JSON.parse(servers)) await serve(options)
    for (const options of JSON.parse(visits)) await visit(options)
    return { listed: inWords(listListeners()), read: inWords(procListeners()) }
  },

  /** How many are listed of `count`, from port 10,000 on. */
  async count(count) {
    for (let i = 0; i < Number(count); i++) await serve({ port: 10_000 + i, host: '127.0.0.1' })
    const ports = listListeners().map(({ port }) => port)
    return { listed: ports.length, different: new Set(ports).size }
  },

  refusal() {
    try {
      return listListeners().length
    } catch ({ name, code, message }) {
      return { name, code, message }
    }
  },
})
