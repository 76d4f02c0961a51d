// Writes generation after generation of the same rows into a store, and prints each one that is on the disk.
// Arguments: DIRECTORY FIRST-GENERATION
import { Store } from '../../dist/control/store/store.js'

const [directory, first] = process.argv.slice(2)
const ROWS = 40
const quiet = { info: () => {}, warn: console.error, error: console.error }
let generation = Number(first)
const store = new Store({ directory, log: quiet, now: () => performance.now(), writeMs: 1 })
const changed = store.add({
  name: 'bans',
  keys: () => Array.from({ length: ROWS }, (_, i) => `key ${i}`),
  read: () => ({ value: { generation, padding: 'x'.repeat(generation % 3000) }, untilMs: null }),
  restore: () => {},
})
await store.start()
for (;;) {
  generation++
  for (let i = 0; i < ROWS; i++) changed(`key ${i}`)
  const written = generation
  const rows = store.rowsWritten
  while (store.rowsWritten < rows + ROWS) await new Promise((resolve) => setTimeout(resolve, 1))
  console.log(written)
}
