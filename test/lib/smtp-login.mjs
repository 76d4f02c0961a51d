// Logs in by SMTP AUTH PLAIN, and exits with 0 if the server takes the password.
// node smtp-login.mjs TO PORT FROM USER PASSWORD
import { connect } from 'node:net'

const [host, port, localAddress, user, password] = process.argv.slice(2)
const credentials = Buffer.from(`\0${user}\0${password}`).toString('base64')
const dialogue = [
  { expect: /^220 .*\r\n/, say: 'EHLO client.example.test' },
  { expect: /^250 .*\r\n/m, say: `AUTH PLAIN ${credentials}` },
  { expect: /^235 .*\r\n/, say: 'QUIT' },
]

setTimeout(() => process.exit(1), 5000)
const socket = connect({ host, port: Number(port), localAddress }).setEncoding('utf8')
socket.on('error', () => process.exit(1))
let heard = ''
socket.on('data', (text) => {
  heard += text
  if (!dialogue[0].expect.test(heard)) return
  heard = ''
  socket.write(`${dialogue.shift().say}\r\n`)
  if (dialogue.length === 0) process.exit(0)
})
socket.on('close', () => process.exit(1))
