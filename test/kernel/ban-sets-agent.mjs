// One call of the kernel's ban sets, in whichever namespace this runs: its arguments are JSON, so is its answer.
import { kernelBanSets } from '../../dist/control/bans/kernel-ban-sets.js'
import { createSet, flushSet } from '../../dist/kernel/ipset.js'

const operations = { ...kernelBanSets, create: createSet, flush: flushSet }
const [operation, ...values] = JSON.parse(process.argv[2], revive)
console.log(JSON.stringify(operations[operation](...values) ?? null, flatten))

function flatten(_, value) {
  return value instanceof Uint8Array ? { bytes: [...value] } : value
}

function revive(_, value) {
  return Array.isArray(value?.bytes) && Object.keys(value).length === 1 ? Uint8Array.from(value.bytes) : value
}
