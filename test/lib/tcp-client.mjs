// Opens TCP connections and says what became of each, a line of JSON as soon as it is known.
// node tcp-client.mjs TO PORT FROM COUNT EVERY_MS TIMEOUT_MS     COUNT 0: until it is killed
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const [host, port, localAddress, count, everyMs, timeoutMs] = process.argv.slice(2)

for (let i = 0; Number(count) === 0 || i < Number(count); i++) {
  open()
  if (Number(everyMs) > 0) await sleep(Number(everyMs))
}

function open() {
  const startedAt = Date.now()
  const startMs = performance.now()
  const socket = connect({ host, port: Number(port), localAddress })
  const settle = (ok) => {
    clearTimeout(timer)
    socket.removeAllListeners('connect').destroy()
    console.log(JSON.stringify({ startedAt, ms: performance.now() - startMs, ok }))
  }
  const timer = setTimeout(settle, Number(timeoutMs), false)
  socket.once('connect', () => settle(true))
  socket.on('error', () => settle(false))
}
