import { parentPort, workerData } from 'node:worker_threads'
import { FlowEvents } from '../../../dist/kernel/flow-events.js'
import { PortSet } from '../../../dist/kernel/port-set.js'

const events = new FlowEvents(new PortSet([{ first: 2222, last: 2222 }]), () => {
  if (workerData === 'close') events.close()
  if (workerData === 'leave') process.exit(0)
  if (workerData === 'throw') throw new Error('in the callback')
})
parentPort.postMessage('ready')
