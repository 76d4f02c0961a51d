import { parentPort, workerData } from 'node:worker_threads'
import { register } from 'tsx/esm/api'

// Writes one entry anew, over and over: trusted for no time, or a resolver for a minute.

register()
const { Known, KnownGood } = await import('../../src/path/known-good.ts')
const { stop, memory, prefix } = workerData
const known = new KnownGood(memory)
parentPort.postMessage('ready')
while (Atomics.load(stop, 0) === 0) {
  known.set(prefix, 0, Known.trusted, 0, 0)
  known.set(prefix, 0, Known.resolver, 60_000, 0)
}
