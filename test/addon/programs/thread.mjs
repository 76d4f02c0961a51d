import { parentPort, workerData } from 'node:worker_threads'
import { counters, drop, numberOf, open } from './lab.mjs'

const behaviours = {
  accept() {},
  block() {
    parentPort.postMessage('in the callback')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  },
  throw(queue, count) {
    for (let i = 0; i < count; i++) {
      if (numberOf(queue, i) === 5) throw new Error('at packet 5')
      if (numberOf(queue, i) === 0) drop(queue, i)
    }
  },
}

const queue = open(behaviours[workerData.behaviour], { first: workerData.queue })
parentPort.on('message', (message) => {
  if (message === 'packets') parentPort.postMessage(counters(queue).packets)
  if (message === 'exit') process.exit(0)
  if (message === 'close') {
    queue.close()
    parentPort.close()
  }
})
parentPort.postMessage('ready')
