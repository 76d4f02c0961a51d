import dgram from 'node:dgram'
import { once } from 'node:events'
import { BATCH_MAX, DROP, PACKET_WORDS, PacketQueue, QUEUE_COUNTERS } from '../../../dist/kernel/queue.js'

/** The test's rules send UDP to these ports on loopback to these queues. */
export const PORT = 5000
export const QUEUE = 7

export const OPTIONS = {
  first: QUEUE,
  count: 1,
  length: 65_535,
  copyBytes: 256,
  failOpen: false,
  replyMark: undefined,
  socketBufferBytes: 32 << 20,
}

export function open(onBatch, options = {}) {
  const queue = new PacketQueue({ ...OPTIONS, ...options }, (count) => onBatch(queue, count))
  return queue
}

export function counters(queue) {
  return Object.fromEntries(QUEUE_COUNTERS.map((name, i) => [name, queue.counters[i]]))
}

/** Word `word` of packet `i` of the batch. */
export function word(queue, i, word) {
  return queue.packets[i * PACKET_WORDS + word]
}

/** The number that `Wire.send` put into packet `i`; undefined where the kernel's message was damaged. */
export function numberOf(queue, i) {
  const [offset, length] = [word(queue, i, 1), word(queue, i, 2)]
  if (length === 0) return undefined
  // Its UDP payload: behind 20 bytes of IPv4 and 8 of UDP.
  return Buffer.from(queue.bytes.buffer, offset + 28, 4).readUInt32BE()
}

export function drop(queue, i) {
  queue.verdicts[i] = DROP
}

/** A UDP sender and its receiver. Sending is synchronous: the packets are in the queue before it returns. */
export class Wire {
  received = []
  #receiver
  #sender

  static async open(port = PORT, address = '127.0.0.1') {
    const wire = new Wire()
    const type = address.includes(':') ? 'udp6' : 'udp4'
    wire.#receiver = dgram.createSocket({ type, recvBufferSize: 4 << 20 })
    wire.#receiver.on('message', (message) => wire.received.push(message.readUInt32BE()))
    wire.#receiver.bind(port, address)
    await once(wire.#receiver, 'listening')
    wire.#sender = dgram.createSocket(type)
    wire.#sender.connect(port, address)
    await once(wire.#sender, 'connect')
    return wire
  }

  /** Numbers `from` to `from + count - 1`, a packet each. */
  send(count, from = 0, bytes = 32) {
    for (let i = from; i < from + count; i++) {
      const payload = Buffer.alloc(bytes)
      payload.writeUInt32BE(i)
      this.#sender.send(payload)
    }
  }

  /** Waits until `count` packets arrived, or long enough to know that they will not. */
  async arrival(count) {
    await until(() => this.received.length >= count)
    return this.received
  }

  close() {
    this.#receiver.close()
    this.#sender.close()
  }
}

export async function until(condition, patienceMs = 2000) {
  const end = Date.now() + patienceMs
  while (!condition() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** Runs the scenario that the command line names and prints what it returns. */
export async function main(scenarios) {
  const [name, ...args] = process.argv.slice(2)
  console.log(JSON.stringify(await scenarios[name](...args)))
}

export { BATCH_MAX }
