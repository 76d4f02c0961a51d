// What a look at all flows, and one that asks for COUNT open sessions alone, cost this process and the kernel. Enters them into conntrack of its own
// network namespace, so run it in one that may be thrown away:
//   unshare -n node test/bench/programs/look.mjs 10000
import { execFileSync } from 'node:child_process'
import { SessionTracker } from '../../../dist/control/sessions/session-tracker.js'
import { assuredFlows, flowsOf } from '../../../dist/kernel/flows.js'
import { PortSet } from '../../../dist/kernel/port-set.js'

const LOOKS = 40
const count = Number(process.argv[2] ?? 10_000)
const ports = new PortSet([{ first: 22, last: 22 }])

const lines = Array.from({ length: count }, (_, i) => {
  const source = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`
  return `-I -p tcp -s ${source} -d 192.0.2.1 --sport ${1024 + (i % 60_000)} --dport 22 --state ESTABLISHED -u ASSURED,SEEN_REPLY -t 600`
})
if (count > 0) {
  const script = 'printf "%s\\n" "$(cat)" | conntrack -R -'
  execFileSync('sh', ['-c', script], { input: lines.join('\n'), stdio: ['pipe', 'ignore', 'ignore'] })
}

const tracker = new SessionTracker({
  max: 65_536,
  serviceAt: () => 'ssh',
  isOwn: () => false,
  hasTimestamps: () => true,
  hasSucceeded: () => false,
  now: () => performance.now(),
  unixNow: Date.now,
})
const cost = (task) => {
  const times = []
  for (let i = 0; i < LOOKS; i++) {
    const before = process.cpuUsage()
    task()
    const { user, system } = process.cpuUsage(before)
    times.push((user + system) / 1000)
  }
  return times.sort((a, b) => a - b)[LOOKS >> 1]
}
const flows = assuredFlows(ports)
const tuples = Array.from({ length: flows.length }, (_, i) => flows.tuple(i))
const wholeMs = cost(() => tracker.look(assuredFlows(ports)))
const partMs = cost(() => tracker.lookAtSome(flowsOf(tuples)))
console.log(JSON.stringify({ flows: flows.length, open: tracker.open, wholeMs, partMs }))
