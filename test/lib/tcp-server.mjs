// Takes TCP connections on each of the given ports, over IPv4 and IPv6, and ends them at once.
// node tcp-server.mjs PORT...     writes "listening" when it does
import { once } from 'node:events'
import { createServer } from 'node:net'

const servers = process.argv
  .slice(2)
  .map((port) => createServer((socket) => socket.on('error', () => {}).end()).listen(Number(port), '::'))
await Promise.all(servers.map((server) => once(server, 'listening')))
console.log('listening')
