/**
 * A bad half hour, in namespaces: a flood of SYNs and one of queries at a steady rate, a recorded capture in
 * its own time, hydra now and then, and honest clients beside them, under the shipped policy. Says each
 * minute what the daemon holds and how honest clients fare.
 * Exit status: 1 if a packet was left without a verdict or an honest client was refused.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { eventually } from '../lib/eventually.ts'
import { Hydra } from '../lib/hydra.ts'
import { Sluice } from '../lib/sluice.ts'
import { Sshd } from '../lib/sshd.ts'
import { numberFrom, requireRoot, tool } from '../lib/tool.ts'
import { type Arena, queueState } from './runner/arena.ts'
import { cpuByThread, cpuSince, residentBytes } from './runner/cpu.ts'
import { describeMachine, thisMachine } from './runner/machine.ts'
import { Stage } from './runner/stage.ts'
import { quantile, summarize } from './runner/statistics.ts'
import { Talker } from './runner/talker.ts'

const ROOT = new URL('../../', import.meta.url)
/** Not among the benches' own: `bench:check` and the page read all that is there. */
const RESULTS = new URL('build/soak/', ROOT)
const SEND = new URL('../lib/send-capture.py', import.meta.url).pathname
const CAPTURE = new URL('pcaps/dns-honest-clients.pcap.gz', ROOT)

/** A port of the shipped `http` service, which nothing floods: its packets wait in the same queue. */
const PORT = '80'
const KNOCKS_A_SECOND = 10
/** What comes to this address of the server comes from that one of the sender. */
const ATTACKED = '10.77.1.1'
const ATTACKER = '10.77.0.66'
/** Long enough for a first ban to end. */
const MINUTES_BETWEEN_ATTACKS = 12

/** What one minute was like. */
interface Minute {
  readonly residentMiB: number
  readonly p50Us: number
  readonly p99Us: number
  readonly sentPerSecond: number
  readonly judgedPerSecond: number
  /** Of one core. */
  readonly cpu: number
  readonly bans: number
  readonly failed: number
  /** Packets whose verdict the kernel has never had, since the start. */
  readonly unanswered: number
}

const program = tool('npm run soak --', 'floods and attacks a daemon, with honest clients beside them')
  .option('--minutes <number>', 'how long', numberFrom(1), 30)
  .option('--rate <number>', 'packets a second', numberFrom(1000), 50_000)
  .parse()
requireRoot(program)
const { minutes, rate } = program.opts<{ minutes: number; rate: number }>()

const stage = new Stage({ rounds: 1, seconds: 60, say: (line) => console.error(line) })
const rows: Minute[] = []
try {
  console.log(describeMachine(thisMachine()))
  const arena = stage.arena()
  const { sluice, sshd } = await prepare(arena)
  for (let minute = 0; minute < minutes; minute++) {
    rows.push(await live(arena, sluice, sshd, minute))
    show(minute, rows.at(-1)!)
  }
} finally {
  await stage.close()
}
conclude()

async function prepare(arena: Arena): Promise<{ sluice: Sluice; sshd: Sshd }> {
  arena.server.addAddress(`${ATTACKED}/32`)
  arena.sender.addAddress(`${ATTACKER}/24`)
  arena.sender.run('ip', 'route', 'add', ATTACKED, 'dev', 'eth0', 'src', ATTACKER)
  const sshd = await Sshd.start(arena.server)
  stage.onEnd(() => sshd.close())
  const listener = await Talker.start(arena.server, stage.compiled('knock'), ['listen', PORT])
  stage.onEnd(() => listener.close())
  const shipped = readFileSync(new URL('rules/sluice.yaml', ROOT), 'utf8')
  const policy = shipped
    .replace(/(\n {2}http:\n {4}enabled: )false/, '$1true')
    .replace('\n  level: info', '\n  level: error')
  const sluice = await Sluice.start(arena.server, policy)
  stage.onEnd(() => sluice.stop())
  // Under a flood of forged SYNs a stranger's login is a matter of luck; this client belongs here.
  await logIn(arena, sshd)
  await eventually(
    'it is known good',
    async () => (await sluice.metric('sluice_known_sources{service="ssh"}')) > 0,
  )
  return { sluice, sshd }
}

/** A login that does something: what it shows of itself is enough to tell that it succeeded. */
function logIn(arena: Arena, sshd: Sshd): Promise<number | undefined> {
  return sshd.login(arena.sender, arena.sender.ipv4, arena.server.ipv4, 'seq 5000')
}

async function live(arena: Arena, sluice: Sluice, sshd: Sshd, minute: number): Promise<Minute> {
  const pid = sluice.process.pid!
  const before = queueState(pid).delivered
  const cpuBefore = cpuByThread(pid)
  const isAttacked = minute % MINUTES_BETWEEN_ATTACKS === 0
  // While SYNs use up what sshd lets strangers have, hydra does not come far enough to be banned.
  const kinds = isAttacked ? (['dns', 'dns'] as const) : (['syn', 'dns'] as const)
  const floods = kinds.map((kind) =>
    arena.flood({ kind, sources: kind === 'syn' ? 100_000 : 1000, seconds: 60, rate: rate / 2 }),
  )
  const capture = replayOnWire(arena)
  const hydra = isAttacked ? new Hydra(arena.sender, `ssh://${ATTACKED}`) : undefined
  const args = ['connect', arena.server.ipv4, PORT, `${60 * KNOCKS_A_SECOND}`, `${1e6 / KNOCKS_A_SECOND}`]
  const knocks = arena.sender.attempt(stage.compiled('knock'), ...args)
  const login = await logIn(arena, sshd)
  const sent = (await Promise.all(floods)).reduce((sum, { perSecond }) => sum + perSecond, 0)
  const waits = (await knocks).stdout.trim().split('\n').map(Number)
  await hydra?.close()
  capture.kill()
  const state = queueState(pid)
  return {
    residentMiB: residentBytes(pid) / 2 ** 20,
    p50Us: quantile(waits, 0.5) / 1000,
    p99Us: quantile(waits, 0.99) / 1000,
    sentPerSecond: sent,
    judgedPerSecond: (state.delivered - before) / 60,
    cpu: cpuSince(cpuBefore, pid).all / 60,
    bans: (await sluice.ask({ op: 'bans list' })).length,
    failed: waits.filter((wait) => wait < 0).length + (login === undefined ? 1 : 0),
    unanswered: await unanswered(sluice),
  }
}

/** Honest queries in their own time, again and again. */
function replayOnWire(arena: Arena) {
  const file = stage.path('capture.pcap')
  writeFileSync(file, gunzipSync(readFileSync(CAPTURE)))
  const mac = arena.server.run('cat', '/sys/class/net/eth0/address').trim()
  const again = `while :; do python3 ${SEND} ${file} eth0 ${mac} >/dev/null; done`
  const child = arena.sender.spawn('sh', ['-c', again], { stdio: 'ignore', detached: true })
  return { kill: () => process.kill(-child.pid!) }
}

async function unanswered(sluice: Sluice): Promise<number> {
  await eventually('no packet waits', async () => (await sluice.status()).queues[0]!.waiting === 0)
  const events = ['verdicts_lost', 'verdict_errors'].map((event) =>
    sluice.metric(`sluice_netlink_events_total{event="${event}"}`),
  )
  return (await Promise.all(events)).reduce((sum, count) => sum + count, 0)
}

function show(minute: number, row: Minute): void {
  const numbers = [
    `minute ${minute + 1}`,
    `${row.residentMiB.toFixed(1)} MiB`,
    `SYN-ACK p50 ${row.p50Us.toFixed(0)} us, p99 ${row.p99Us.toFixed(0)} us`,
    `${(row.sentPerSecond / 1000).toFixed(1)} k/s sent`,
    `${(row.judgedPerSecond / 1000).toFixed(1)} k/s judged`,
    `${(row.cpu * 100).toFixed(0)} % CPU`,
    `${row.bans} bans`,
    `${row.failed} honest failed`,
    `${row.unanswered} unanswered`,
  ]
  console.log(numbers.join('; '))
}

function conclude(): void {
  mkdirSync(RESULTS, { recursive: true })
  writeFileSync(
    new URL('soak.json', RESULTS),
    `${JSON.stringify({ machine: thisMachine(), rate, rows }, null, 2)}\n`,
  )
  const tenth = Math.ceil(rows.length / 10)
  const change = (of: (row: Minute) => number, unit: string) => {
    const median = (part: readonly Minute[]) => summarize(part.map(of)).median
    return `${median(rows.slice(0, tenth)).toFixed(1)} to ${median(rows.slice(-tenth)).toFixed(1)} ${unit}`
  }
  const failed = rows.reduce((sum, row) => sum + row.failed, 0)
  const left = rows.at(-1)?.unanswered ?? 0
  console.log(
    `resident: ${change((row) => row.residentMiB, 'MiB')}; p99: ${change((row) => row.p99Us, 'us')}`,
  )
  console.log(`honest clients refused: ${failed}; packets left without a verdict: ${left}`)
  if (failed + left > 0) process.exitCode = 1
}
