// Judges packets in memory with the built path, as path.c does in C. Arguments: PACKETS POLICY-FILE
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { loadPolicy } from '../../../dist/config/load.js'
import { compilePolicy } from '../../../dist/path/compile.js'
import { KnownGood } from '../../../dist/path/known-good.js'
import { Pipeline } from '../../../dist/path/pipeline.js'
import { Verdict } from '../../../dist/path/reasons.js'
import { ServiceSlots } from '../../../dist/path/service-slots.js'
import { createSharedState } from '../../../dist/path/shared.js'

const BATCH = 64

const [packets, file] = process.argv.slice(2)
const policy = loadPolicy(file)
const pipeline = new Pipeline(
  compilePolicy(policy, new ServiceSlots()),
  createSharedState(policy.sources, KnownGood.create()),
)
const contents = new Uint8Array(readFileSync(packets))
const [count] = new Uint32Array(contents.buffer, 0, 1)
const index = new Uint32Array(contents.buffer, 4, 2 * count)
const bytes = contents.subarray(4 + 8 * count)
// As the queue has it.
const clock = Float64Array.of(1e6)

/** As thread.ts does. */
function judgeBatch(first) {
  const nowMs = clock[0]
  let accepted = 0
  if (pipeline.readsAhead) {
    for (let i = first; i < first + BATCH; i++) pipeline.expect(bytes, index[2 * i], index[2 * i + 1])
    pipeline.fetch()
  }
  for (let i = first; i < first + BATCH; i++) {
    if (pipeline.judge(bytes, index[2 * i], index[2 * i + 1], nowMs) === Verdict.accept) accepted++
  }
  return accepted
}

function pass() {
  let accepted = 0
  for (let i = 0; i < count; i += BATCH) {
    // A million packets a second, 64 with the same time.
    clock[0] += BATCH / 1000
    accepted += judgeBatch(i)
  }
  return accepted
}

console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const started = process.cpuUsage()
  let accepted = 0
  for (let n = 0; n < Number(line); n++) accepted += pass()
  const { user, system } = process.cpuUsage(started)
  console.log(`${(user + system) * 1000} ${accepted}`)
}
