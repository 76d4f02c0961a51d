// Brings bans of a store back into the kernel as a start after a reboot does. Arguments: DIRECTORY fill|restore HOW-MANY.
// `restore` prints the nanoseconds from opening the store until the bans are in the kernel, and until all is known.
import { AllowList } from '../../../dist/control/allow/allow-list.js'
import { Bans } from '../../../dist/control/bans/bans.js'
import { kernelBanSets } from '../../../dist/control/bans/kernel-ban-sets.js'
import { Evidence } from '../../../dist/control/evidence/evidence.js'
import { rememberIn } from '../../../dist/control/store/remembered.js'
import { Store } from '../../../dist/control/store/store.js'
import { stampNow } from '../../../dist/control/store/store-clock.js'
import { pathClockMs as now } from '../../../dist/control/threads/path-clock.js'
import { createSet } from '../../../dist/kernel/ipset.js'

const [directory, what, count] = process.argv.slice(2)
const policy = {
  services: [],
  ban: {
    firstMs: 86_400_000,
    factor: 1,
    longestMs: 86_400_000,
    jitter: 0,
    allPortsFrom: 1,
    memoryMs: 2_592_000_000,
    maxEntries: 65_536,
  },
}
let bansAt
const silent = {
  debug: () => {},
  info: (event) => {
    // Bans come first.
    if (event === 'restored') bansAt ??= process.hrtime.bigint()
  },
  warn: console.error,
  error: console.error,
}
createSet('sluice-ban-all-4', { family: 4, maxEntries: policy.ban.maxEntries })
const enforced = new Bans({
  mode: 'enforce',
  sets: kernelBanSets,
  policy: policy.ban,
  log: silent,
  onBanned: () => {},
  now,
  random: () => 0,
})
const stamp = () => ({ ...stampNow(), epoch: what })
const store = new Store({ directory, log: silent, now, stamp })
const evidence = new Evidence({ trust: undefined, log: silent, now })
rememberIn(store, { enforced, policy, log: silent, allow: new AllowList(), evidence, now })
const started = process.hrtime.bigint()
await store.start()
if (what === 'restore') console.log(`${bansAt - started} ${process.hrtime.bigint() - started}`)
if (what === 'fill') {
  const offences = Array.from({ length: Number(count) }, (_, i) => ({
    source: { family: 4, bytes: Uint8Array.of(100, 64 + (i >> 16), (i >> 8) & 255, i & 255), length: 32 },
    service: 'ssh',
    reason: '5 strikes within 10m',
    proof: 'handshake',
  }))
  enforced.punish(offences)
  await store.close()
} else if (enforced.ledger.list().length !== Number(count)) throw new Error('not all bans are there')
process.exit()
