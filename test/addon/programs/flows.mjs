import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { Worker } from 'node:worker_threads'
import { FLOW_EVENT_COUNTERS, FlowEvents } from '../../../dist/kernel/flow-events.js'
import { assuredFlows, flowsOf } from '../../../dist/kernel/flows.js'
import { PortSet } from '../../../dist/kernel/port-set.js'
import { formatPrefix } from '../../../dist/net/prefix.js'
import { main, until } from './lab.mjs'

const PORTS = new PortSet([{ first: 2222, last: 2222 }])
const BYTES = 1000

function counters({ counters }) {
  return Object.fromEntries(FLOW_EVENT_COUNTERS.map((name, i) => [name, counters[i]]))
}

function read(flows) {
  return Array.from({ length: flows.length }, (_, i) => ({
    address: formatPrefix(flows.address(i)),
    port: flows.destinationPort(i),
    state: flows.state(i),
    destroyed: flows.isDestroyed(i),
    key: flows.key(i),
    age: flows.startMs(i) === 0 ? null : Date.now() - flows.startMs(i),
    toServer: [flows.toServerPackets(i), flows.toServerBytes(i)],
    toClient: [flows.toClientPackets(i), flows.toClientBytes(i)],
  }))
}

function tuplesOf(flows) {
  return Array.from({ length: flows.length }, (_, i) => flows.tuple(i))
}

async function serve(port) {
  const server = createServer((socket) => socket.on('error', () => {}).end(Buffer.alloc(BYTES)))
  server.listen(port, '::')
  await once(server, 'listening')
  return server
}

/** One connection, in which the server says something. */
async function visit(host, port) {
  const socket = connect({ host, port })
  await once(socket.resume(), 'close')
}

/** The process can do nothing else meanwhile. */
function visitAtOnce(count) {
  const script = `
import socket
for _ in range(${count}):
    socket.create_connection(('127.0.0.1', 2222)).close()`
  // Not with the libraries that this process was started with.
  execFileSync('python3', ['-c', script], { env: { PATH: process.env.PATH } })
}

await main({
  /** A connection of each family to the port listened to, and one to another port. */
  async events() {
    const heard = []
    const named = []
    const servers = [await serve(2222), await serve(3333)]
    const events = new FlowEvents(PORTS, (flows) => {
      heard.push(...read(flows))
      named.push(...tuplesOf(flows))
    })
    for (const host of ['127.0.0.1', '::1']) for (const port of [2222, 3333]) await visit(host, port)
    await until(() => heard.length >= 2)
    const listed = read(assuredFlows(PORTS))
    const asked = read(flowsOf(named))
    for (const family of ['ipv4', 'ipv6'])
      execFileSync('conntrack', ['-D', '-f', family, '-p', 'tcp'], { stdio: 'ignore' })
    await until(() => heard.filter(({ destroyed }) => destroyed).length >= 2)
    events.listenTo(new PortSet([{ first: 3000, last: 4000 }]))
    await visit('127.0.0.1', 3333)
    await until(() => heard.some(({ port }) => port === 3333))
    events.close()
    events.close()
    const counted = counters(events)
    await visit('127.0.0.1', 3333)
    for (const server of servers) server.close()
    return { heard, listed, asked, counted, after: counters(events).messages }
  },

  /** While the thread is busy, more happens than the smallest buffer holds; then it listens again. */
  async overrun() {
    const keys = new Set()
    const server = await serve(2222)
    const note = (flows) => {
      for (const { key } of read(flows)) keys.add(key)
    }
    const events = new FlowEvents(PORTS, note, 4096)
    visitAtOnce(200)
    await until(() => counters(events).overruns > 0)
    const { overruns } = counters(events)
    const before = keys.size
    await visit('127.0.0.1', 2222)
    await until(() => keys.size > before)
    const listed = assuredFlows(PORTS).length
    events.close()
    server.close()
    return { overruns, before, after: keys.size, listed }
  },

  /** Whatever FAULT does to the first messages, later ones arrive. */
  async faults() {
    const heard = []
    const server = await serve(2222)
    const events = new FlowEvents(PORTS, (flows) => heard.push(...read(flows)))
    for (let i = 0; i < 12; i++) {
      await visit('127.0.0.1', 2222)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await until(() => heard.length > 0)
    events.close()
    server.close()
    return { heard: heard.length, counted: counters(events) }
  },

  /** What a dump does under FAULT. */
  async dump() {
    try {
      return { flows: assuredFlows(PORTS).length }
    } catch ({ name, code, message }) {
      return { name, code, message }
    }
  },

  /** Asks for each flow that there was when this began alone, after those to `gone` have been deleted. */
  async askEach(gone) {
    const flows = assuredFlows(PORTS)
    const keys = read(flows).map(({ key }) => key)
    if (gone !== '') execFileSync('conntrack', ['-D', '-d', gone], { stdio: 'ignore' })
    return tuplesOf(flows).map((tuple, i) => {
      const answers = read(flowsOf([tuple])).map(({ key }) => key)
      return {
        address: formatPrefix(flows.address(i)),
        isSame: answers[0] === keys[i],
        answers: answers.length,
      }
    })
  },

  /** Asks for all flows that there are at once; with `family`, for one of no family between them, too. */
  async askAll(family) {
    const flows = assuredFlows(PORTS)
    const tuples = tuplesOf(flows)
    if (family !== undefined) tuples.splice(tuples.length >> 1, 0, new Uint8Array(40).fill(Number(family)))
    try {
      const [listed, asked] = [flows, flowsOf(tuples)].map((each) => read(each).map(({ key }) => key))
      return { listed, asked }
    } catch ({ name, code, message }) {
      return { name, code, message }
    }
  },

  /** In threads that end in all ways: with the socket closed, open, and in the middle of a callback. */
  async threads() {
    const server = await serve(2222)
    const exits = []
    for (const how of ['close', 'leave', 'terminate', 'throw']) {
      const worker = new Worker(new URL('flows-thread.mjs', import.meta.url), { workerData: how })
      let error
      worker.on('error', ({ message }) => {
        error = message
      })
      const exited = new Promise((resolve) => worker.on('exit', resolve))
      await new Promise((resolve) => worker.on('message', resolve))
      await visit('127.0.0.1', 2222)
      if (how === 'terminate') await worker.terminate()
      else await exited
      exits.push([how, error ?? null])
    }
    server.close()
    return exits
  },
})
