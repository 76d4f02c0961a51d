import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { PACKET_WORDS, QUEUE_WORD, TIMESTAMP_WORD } from '../../../dist/kernel/queue.js'
import { readQueueCounters } from '../../../dist/kernel/queue-counters.js'
import { counters, drop, main, numberOf, open, PORT, QUEUE, until, Wire, word } from './lab.mjs'

/** Sends for a second, slowly; says when it begins, and at the end how many it sent. */
const SENDER = `
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print('begin', flush=True)
end = time.monotonic() + 1
sent = 0
while time.monotonic() < end:
    sent += s.sendto(b'\\0' * 32, ('127.0.0.1', 5000)) == 32
    time.sleep(0.0005)
print(sent, flush=True)
`

const WATCHER = `
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 29, 1)
time.sleep(0.3)
print('on', flush=True)
time.sleep(10)
`

/** Sends a well-formed NFQNL_MSG_PACKET of queue 7 to the socket that holds it, and says what became of it. */
const FORGER = `
import errno, socket, struct
rows = [line.split() for line in open('/proc/net/netfilter/nfnetlink_queue')]
port = next(int(row[1]) for row in rows if row[0] == '7')
header = struct.pack('=HHIHBB', 11, 1, socket.htonl(1), 8, 0, 0)
message = struct.pack('=IHHIIBBH', 20 + len(header), 3 << 8, 0, 0, 0, 2, 0, socket.htons(7)) + header
try: print(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12).sendto(message, (port, 0)))
except OSError as error: print(errno.errorcode[error.errno])
`

await main({
  async batches() {
    const wire = await Wire.open()
    const sizes = []
    const times = []
    const queue = open((_, count) => {
      sizes.push(count)
      times.push([...queue.nowMs])
    })
    wire.send(200)
    const waiting = readQueueCounters()
    const before = performance.now() + performance.timeOrigin
    const received = await wire.arrival(200)
    const uptimeMs = Number(process.hrtime.bigint()) / 1e6
    const report = { sizes, times, uptimeMs, received, waiting, counters: counters(queue), before }
    queue.close()
    wire.close()
    return report
  },

  /** Which numbers of 64 arrive when `pattern` says which to drop; number 64 is the mark of the end. */
  async verdicts() {
    const patterns = {
      'drop none': () => false,
      'drop all': () => true,
      'drop few': (n) => n % 10 === 3,
      'drop most': (n) => n % 10 !== 3,
      'drop every other': (n) => n % 2 === 0,
      'drop the first': (n) => n === 0,
      'drop the last': (n) => n === 63,
      'drop the first half': (n) => n < 32,
    }
    const wire = await Wire.open()
    let wanted
    const queue = open((_, count) => {
      for (let i = 0; i < count; i++) {
        const n = numberOf(queue, i)
        if (n < 64 && wanted(n)) drop(queue, i)
      }
    })
    const report = []
    for (const [name, pattern] of Object.entries(patterns)) {
      wanted = pattern
      wire.received = []
      wire.send(65)
      await until(() => wire.received.includes(64))
      const expected = Array.from({ length: 65 }, (_, n) => n).filter((n) => n === 64 || !pattern(n))
      report.push({ name, expected, received: wire.received })
    }
    const { verdictErrors } = counters(queue)
    queue.close()
    wire.close()
    return { report, verdictErrors, waiting: readQueueCounters() }
  },

  /** Packets of two queues of one socket in one batch, with opposite majorities. */
  async 'two queues'() {
    const wires = [await Wire.open(PORT), await Wire.open(PORT + 1)]
    const sizes = []
    const queue = open(
      (_, count) => {
        sizes.push(count)
        for (let i = 0; i < count; i++) {
          const kept =
            word(queue, i, QUEUE_WORD) === QUEUE ? numberOf(queue, i) % 4 !== 0 : numberOf(queue, i) % 4 === 0
          if (!kept) drop(queue, i)
        }
      },
      { count: 2 },
    )
    for (let n = 0; n < 20; n++) for (const wire of wires) wire.send(1, n)
    await wires[0].arrival(15)
    await wires[1].arrival(5)
    const report = { sizes, received: wires.map((wire) => wire.received), counters: counters(queue) }
    queue.close()
    for (const wire of wires) wire.close()
    return report
  },

  async fields() {
    const wires = [await Wire.open(PORT), await Wire.open(PORT, '::1')]
    const packets = []
    const queue = open(
      (_, count) => {
        for (let i = 0; i < count; i++) {
          const words = [...queue.packets.subarray(i * PACKET_WORDS, (i + 1) * PACKET_WORDS)]
          packets.push({ words, bytes: [...queue.bytes.subarray(words[1], words[1] + words[2])] })
        }
      },
      { copyBytes: 100 },
    )
    wires[0].send(1, 0x01020304, 16)
    wires[1].send(1, 0x01020304, 500)
    await Promise.all(wires.map((wire) => wire.arrival(1)))
    queue.close()
    for (const wire of wires) wire.close()
    return { packets, unixMs: Date.now() }
  },

  /** While any socket asks for time stamps (SO_TIMESTAMP), the kernel takes the time of every packet. */
  async timestamp() {
    const watcher = spawn('python3', ['-c', WATCHER], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(watcher.stdout, 'data')
    const wire = await Wire.open()
    let timestamp
    const queue = open(() => {
      timestamp = word(queue, 0, TIMESTAMP_WORD)
    })
    wire.send(1)
    await wire.arrival(1)
    watcher.kill()
    queue.close()
    wire.close()
    return { timestamp, unixMs: Date.now() }
  },

  async 'full queue'(failOpen) {
    const wire = await Wire.open()
    const queue = open(() => {}, { length: 10, failOpen: failOpen === 'true' })
    wire.send(100)
    const [kernel] = readQueueCounters()
    await wire.arrival(failOpen === 'true' ? 100 : 10)
    wire.send(1, 1000)
    await until(() => wire.received.includes(1000))
    const { packets } = counters(queue)
    queue.close()
    wire.close()
    return { kernel, packets, received: wire.received }
  },

  /** Packet 0 is dropped, at packet 5 it throws; a handler keeps the process alive. */
  async throws() {
    const wire = await Wire.open()
    const caught = []
    const arrivedWhenCaught = []
    process.on('uncaughtException', (error) => {
      caught.push(error.message)
      arrivedWhenCaught.push(readQueueCounters()[0].waiting)
    })
    const queue = open((_, count) => {
      for (let i = 0; i < count; i++) {
        if (numberOf(queue, i) === 5) throw new Error('at packet 5')
        if (numberOf(queue, i) === 0) drop(queue, i)
      }
    })
    wire.send(64)
    await wire.arrival(63)
    wire.send(1, 100)
    await wire.arrival(64)
    const report = { caught, arrivedWhenCaught, received: wire.received, counters: counters(queue) }
    queue.close()
    wire.close()
    return report
  },

  /** What waits when `close` is called arrives; a second call and a new queue of the number are fine. */
  async close() {
    const wire = await Wire.open()
    const queue = open((_, count) => {
      for (let i = 0; i < count; i++) drop(queue, i)
    })
    wire.send(200)
    queue.close()
    queue.close()
    const bound = readQueueCounters()
    await wire.arrival(200)
    open(() => {}).close()
    wire.close()
    return { bound, received: wire.received, batches: counters(queue).batches }
  },

  async 'close in the callback'() {
    const wire = await Wire.open()
    const queue = open((_, count) => {
      drop(queue, 0)
      queue.close()
      if (count > 1) drop(queue, 1)
    })
    wire.send(200)
    await wire.arrival(198)
    const report = { received: wire.received, counters: counters(queue), bound: readQueueCounters() }
    wire.close()
    return report
  },

  /** Closes again and again while another process sends; the rule is there only while the queue is. */
  async 'close under flood'(port, started) {
    const target = ['-j', 'NFQUEUE', '--queue-num', String(QUEUE), '--queue-bypass']
    const rule = ['PREROUTING', '-p', 'udp', '--dport', port, ...target]
    let packets = 0
    for (let i = 0; i < 30; i++) {
      const queue = open(() => {})
      execFileSync('iptables', ['-t', 'mangle', '-A', ...rule])
      if (i === 0) writeFileSync(started, '')
      await new Promise((resolve) => setTimeout(resolve, 10))
      queue.close()
      execFileSync('iptables', ['-t', 'mangle', '-D', ...rule])
      packets += counters(queue).packets
    }
    return { packets, bound: readQueueCounters() }
  },

  /** Three queues are bound one after the other while packets come to the first. */
  async 'bind under load'() {
    const sender = spawn('python3', ['-c', SENDER], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(sender, 'close')
    let said = ''
    sender.stdout.on('data', (data) => {
      said += data
    })
    await once(sender.stdout, 'data')
    const queue = open(() => {}, { count: 3 })
    const [{ waiting, lastId }] = readQueueCounters()
    await ended
    await until(() => readQueueCounters()[0].waiting === 0)
    const { packets, verdictErrors } = counters(queue)
    queue.close()
    return {
      waiting,
      acceptedUnseen: lastId - waiting,
      packets,
      verdictErrors,
      sent: Number(said.split('\n')[1]),
    }
  },

  /** How many batches are served before the thread gets to something else. */
  async 'other work'() {
    const wire = await Wire.open()
    const queue = open(() => {})
    wire.send(4000)
    const seen = []
    await new Promise((resolve) => {
      const look = () => {
        seen.push(counters(queue).batches)
        if (seen.at(-1) === 63 || seen.length > 10_000) resolve()
        else setImmediate(look)
      }
      setImmediate(look)
    })
    queue.close()
    wire.close()
    return { steps: seen.map((batches, i) => batches - (seen[i - 1] ?? 0)), batches: seen.at(-1) }
  },

  async 'bind errors'() {
    const first = open(() => {})
    const errors = [openError({}), openError({ first: QUEUE - 1, count: 3 })]
    const bound = readQueueCounters().map(({ queue }) => queue)
    first.close()
    return { errors, bound, after: openError({}) }
  },

  /** One error to report: without the capability, or where the kernel lacks something. */
  async 'open error'() {
    return openError({})
  },

  /** What FAULT names happens; then an undisturbed batch. */
  async faults(copyBytes) {
    const wire = await Wire.open()
    const numbers = []
    const queue = open(
      (_, count) => {
        for (let i = 0; i < count; i++) numbers.push(numberOf(queue, i) ?? null)
      },
      { copyBytes: Number(copyBytes) },
    )
    wire.send(70)
    await until(() => counters(queue).batches > 0)
    await until(() => readQueueCounters()[0].waiting === 0, 200)
    const waiting = readQueueCounters()[0].waiting
    wire.send(6, 70)
    await wire.arrival(76)
    const report = { numbers, waiting, received: wire.received, counters: counters(queue) }
    queue.close()
    wire.close()
    return report
  },

  /** A receive buffer for a few packets and no NETLINK_NO_ENOBUFS: the kernel's own ENOBUFS. */
  async 'real enobufs'() {
    const wire = await Wire.open()
    const queue = open(() => {}, { socketBufferBytes: 4096, failOpen: true })
    wire.send(100)
    await wire.arrival(100)
    wire.send(3, 100)
    await wire.arrival(103)
    const report = { received: wire.received.length, counters: counters(queue) }
    queue.close()
    wire.close()
    return report
  },

  /** Another process writes to the netlink socket. */
  async foreign() {
    const wire = await Wire.open()
    const queue = open(() => {})
    const forger = execFileSync('python3', ['-c', FORGER], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH },
    }).trim()
    wire.send(3)
    await wire.arrival(3)
    const report = { forger, received: wire.received, counters: counters(queue) }
    queue.close()
    wire.close()
    return report
  },
})

function openError(options) {
  try {
    open(() => {}, options).close()
    return null
  } catch ({ name, code, message }) {
    return { name, code, message }
  }
}
