import dgram from 'node:dgram'
import { once } from 'node:events'
import { SLIP } from '../../../dist/kernel/queue.js'
import { counters, main, open, PORT, until } from './lab.mjs'

const MARK = 0x53

/** Answers whatever comes with SLIP, and asks `queries` (hex) of `address`: what comes back to the asker, in hex. */
async function askAll(address, queries, patienceMs = 1000) {
  const queue = open(
    (_, count) => {
      queue.verdicts.fill(SLIP, 0, count)
    },
    // The longest question is longer than what is usually copied.
    { replyMark: MARK, copyBytes: 512 },
  )
  const socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4')
  const replies = []
  socket.on('message', (message, { address: from, port }) =>
    replies.push([message.toString('hex'), from, port]),
  )
  socket.bind(0, address)
  await once(socket, 'listening')
  for (const query of queries) socket.send(Buffer.from(query, 'hex'), PORT, address)
  await until(() => {
    const { replies: sent, repliesUnmade, repliesForbidden, replyErrors } = counters(queue)
    return sent + repliesUnmade + repliesForbidden + replyErrors >= queries.length && replies.length >= sent
  }, patienceMs)
  const report = { replies, failure: queue.replyFailure, counters: counters(queue) }
  queue.close()
  socket.close()
  return report
}

await main({
  async answers(address, queries) {
    return askAll(address, queries.split(','))
  },
})
