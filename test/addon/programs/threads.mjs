import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { readQueueCounters } from '../../../dist/kernel/queue-counters.js'
import { main, PORT, QUEUE, Wire } from './lab.mjs'

await main({
  /** A queue each; one closes its own, one is terminated; meanwhile and afterwards traffic flows. */
  async 'two at once'() {
    const wires = [await Wire.open(PORT), await Wire.open(PORT + 1)]
    const workers = [await start('accept', QUEUE), await start('accept', QUEUE + 1)]
    for (const wire of wires) wire.send(200)
    await Promise.all(wires.map((wire) => wire.arrival(200)))
    const judged = await Promise.all(workers.map((worker) => ask(worker, 'packets')))
    workers[0].postMessage('close')
    await Promise.all([once(workers[0], 'exit'), workers[1].terminate()])
    const bound = readQueueCounters()
    for (const wire of wires) wire.send(10, 200)
    await Promise.all(wires.map((wire) => wire.arrival(210)))
    for (const wire of wires) wire.close()
    return { judged, bound, received: wires.map((wire) => wire.received.length) }
  },

  /** The addon is loaded and unloaded with each thread. */
  async 'many in turn'() {
    const wire = await Wire.open()
    const exits = []
    for (let i = 0; i < 10; i++) {
      const worker = await start('accept', QUEUE)
      wire.send(10)
      await wire.arrival(10 * (i + 1))
      if (i % 2 === 0) worker.postMessage('close')
      else worker.postMessage('exit')
      exits.push((await once(worker, 'exit'))[0])
    }
    wire.close()
    return { exits, received: wire.received.length, bound: readQueueCounters() }
  },

  /** Terminated in the middle of a batch, with more packets waiting. */
  async 'terminate in the callback'() {
    const wire = await Wire.open()
    const worker = await start('block', QUEUE)
    wire.send(200)
    await once(worker, 'message')
    const [before] = readQueueCounters()
    await worker.terminate()
    await wire.arrival(200)
    wire.close()
    return { waiting: before.waiting, received: wire.received, bound: readQueueCounters() }
  },

  /** Dies of an exception at packet 5, with packet 0 dropped and more packets waiting. */
  async 'throw in the callback'() {
    const wire = await Wire.open()
    const worker = await start('throw', QUEUE)
    wire.send(200)
    const [error] = await once(worker, 'error')
    await wire.arrival(199)
    wire.send(1, 200)
    await wire.arrival(200)
    wire.close()
    return { error: error.message, received: wire.received, bound: readQueueCounters() }
  },

  /** The process ends with the thread's queue open: what waits is for the test to count. */
  async 'process exit'() {
    const wire = await Wire.open()
    const worker = await start('block', QUEUE)
    wire.send(200)
    await once(worker, 'message')
    setImmediate(() => process.exit(0))
    return { waiting: readQueueCounters()[0].waiting }
  },
})

async function start(behaviour, queue) {
  const worker = new Worker(new URL('thread.mjs', import.meta.url), { workerData: { behaviour, queue } })
  await once(worker, 'message')
  return worker
}

async function ask(worker, question) {
  worker.postMessage(question)
  const [answer] = await once(worker, 'message')
  return answer
}
