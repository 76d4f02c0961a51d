// Puts bans of a day into a new set as the daemon does. Arguments: SET HOW-MANY. Prints the nanoseconds.
import { addEntries, createSet } from '../../../dist/kernel/ipset.js'

const [name, count] = process.argv.slice(2)
const entries = Array.from({ length: Number(count) }, (_, i) => ({
  // 100.64.0.0/10, from where flood.c sends.
  prefix: { family: 4, bytes: Uint8Array.of(100, 64 + (i >> 16), (i >> 8) & 255, i & 255), length: 32 },
  timeoutSeconds: 86_400,
}))
createSet(name, { family: 4, maxEntries: 1_048_576 })
const started = process.hrtime.bigint()
const refused = addEntries(name, entries)
console.log(`${process.hrtime.bigint() - started}`)
if (refused.length > 0) throw new Error(refused[0].message)
