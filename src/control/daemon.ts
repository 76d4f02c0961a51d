import { resolve } from 'node:path'
import { loadPolicy } from '../config/load.ts'
import type { Policy } from '../config/policy.ts'
import { EXIT, Failure } from '../failure.ts'
import { setSizes } from '../firewall/sets.ts'
import { addon } from '../kernel/addon.ts'
import { compilePolicy } from '../path/compile.ts'
import { ServiceSlots } from '../path/service-slots.ts'
import { liftAllowed } from './allow/allowed.ts'
import { carryOutHolds } from './bans/carry-out-holds.ts'
import { ALL_PORTS } from './bans/escalation.ts'
import { judgePromotions } from './bans/promotions.ts'
import { liftShadowed } from './bans/shadowed.ts'
import { coalesce } from './coalesce.ts'
import { counted } from './counted.ts'
import { createState } from './create-state.ts'
import { chargeLookups } from './dns/charge-lookups.ts'
import { refreshSlip } from './dns/follow-slip.ts'
import { ReverseFloods } from './dns/reverse-floods.ts'
import { heal } from './heal.ts'
import { introduce } from './introduce.ts'
import { type Lifetime, StopRequested } from './lifetime.ts'
import type { Log } from './log/log.ts'
import { openLog } from './log/open-log.ts'
import { serveHttp } from './metrics/http.ts'
import { Metrics } from './metrics/metrics.ts'
import { notifyManager } from './notify-manager.ts'
import { watchPanic } from './panic.ts'
import { requireNetAdmin } from './privileges.ts'
import { reload } from './reload.ts'
import { Repeater } from './repeater.ts'
import { openControlSocket } from './requests/control-socket.ts'
import { handle } from './requests/handle.ts'
import { ConnectionSweeper } from './sessions/connection-sweeper.ts'
import { watchSessions } from './sessions/watch-sessions.ts'
import type { DaemonState } from './state.ts'
import { pathClockMs } from './threads/path-clock.ts'
import { PathThreads } from './threads/path-threads.ts'
import { UndoStack } from './undo-stack.ts'

export interface DaemonOptions {
  readonly configFile: string
  /** Destroy the ban sets at the end. */
  readonly flush: boolean
  readonly lifetime: Lifetime
}

/** A wave of offenders comes in as many batches; one call to the kernel bans all of those of this time. */
const PROMOTIONS_PAUSE_MS = 20

/** Shorter: until they are held, sources fill the queue. */
const HOLDS_PAUSE_MS = 2

/** How soon an sshd that was started again is asked; until then its sessions are judged as before. */
const SERVERS_PAUSE_MS = 5000

/** The path acts at once; this is for the log. */
const FLOODS_PAUSE_MS = 1000

/** What the start of a daemon works with. */
interface Start extends DaemonOptions {
  readonly policy: Policy
  readonly log: Log
  readonly undo: UndoStack
}

/**
 * Runs sluice until `lifetime` ends. Whatever ends it, and at whatever moment, chains and queues are gone
 * when this returns or throws; bans stay in the kernel unless `flush` says otherwise.
 *
 * @throws Failure where it cannot run (see EXIT), or whatever else has ended it.
 */
export async function runDaemon({ configFile, flush, lifetime }: DaemonOptions): Promise<void> {
  const policy = loadPolicy(configFile)
  requireNetAdmin()
  addon()
  const { log, close: closeLog } = await openLog(policy.log)
  const undo = new UndoStack()
  let failure: unknown
  try {
    lifetime.check()
    const state = await start({ configFile: resolve(configFile), flush, policy, log, lifetime, undo })
    // A refusal is logged where it happens.
    lifetime.onHangup = () => void state.serial.run(() => reload(state)).catch(() => {})
    await lifetime.ended
  } catch (error) {
    if (!(error instanceof StopRequested)) failure = error
  }
  const problems = await stop(undo, log)
  await closeLog()
  if (failure !== undefined) throw failure
  if (problems.length > 0) {
    throw new Failure(EXIT.osError, problems.join('\n'), 'try "sluice firewall down" when that is mended')
  }
}

/** Returns what could not be undone. */
async function stop(undo: UndoStack, log: Log): Promise<string[]> {
  notifyManager('STOPPING=1', log)
  const problems = await undo.unwind()
  for (const problem of problems) log.error('stop-failed', problem)
  return problems
}

/** Each step leaves behind how to undo it. Chains come last: nothing is queued before somebody listens. */
async function start(options: Start): Promise<DaemonState> {
  const { policy, log, lifetime, undo } = options
  let state: DaemonState | undefined
  const closeSocket = await openControlSocket({
    path: policy.control.socket,
    group: policy.control.group,
    log,
    handle: (request) => {
      if (state === undefined) throw new Failure(EXIT.unavailable, 'sluice is still starting')
      return handle(state, request)
    },
  })
  undo.push('remove the control socket', closeSocket)
  lifetime.check()

  const slots = new ServiceSlots()
  const threads = await PathThreads.start({
    policy,
    compiled: compilePolicy(policy, slots),
    faultAtPacket: faultAtPacket(),
    log,
    onPromotions: coalesce(PROMOTIONS_PAUSE_MS, () => {
      // Chains that a killed sluice has left behind may send packets before the start is over.
      if (state === undefined || state.serial.isClosed) return
      // Their proofs may be on their way; and that events were lost shows when one looks.
      if (judgePromotions(state) > 0) state.sessions.hurry()
    }),
    onHolds: coalesce(HOLDS_PAUSE_MS, () => {
      if (state !== undefined && !state.serial.isClosed) carryOutHolds(state)
    }),
    onLookups: coalesce(PROMOTIONS_PAUSE_MS, () => {
      if (state !== undefined && !state.serial.isClosed) chargeLookups(state)
    }),
    onGivenUp: lifetime.fail,
    now: pathClockMs,
  })
  undo.push('stop the path threads', () => threads.stop())
  lifetime.check()

  const sweeper = new ConnectionSweeper(log)
  undo.push('end the deletion of connections', () => sweeper.close())
  // Before the firewall: a rule for events has the kernel make some only if somebody listens.
  const sessions = watchSessions({ policy, log, now: pathClockMs, state: () => state })
  undo.push('look at no more sessions', () => sessions.close())
  const created = createState({ ...options, slots, threads, sweeper, sessions, now: pathClockMs })
  undo.push('write the store', () => created.store?.close())
  await serveMetrics(created, undo)
  lifetime.check()
  await putFirewallInPlace(created, options)
  lifetime.check()

  const healer = new Repeater(
    () => created.serial.run(() => heal(created)).catch(() => {}),
    () => created.policy.firewall.checkMs,
  )
  undo.push('end the repairs', () => healer.stop())
  await refreshSlip(created)
  const floods = new ReverseFloods()
  const watcher = new Repeater(
    async () => floods.look(created.threads.reverseRates(pathClockMs()), log, pathClockMs()),
    () => FLOODS_PAUSE_MS,
  )
  undo.push('end the watch for floods', () => watcher.stop())
  void created.servers.refresh()
  const asker = new Repeater(
    () => created.servers.refresh(),
    () => SERVERS_PAUSE_MS,
  )
  undo.push('ask no more servers', () => asker.stop())
  state = created
  sessions.start()
  introduce(created)
  log.info('ready', `ready: mode ${policy.mode}`)
  notifyManager('READY=1', log)
  return created
}

async function serveMetrics(state: DaemonState, undo: UndoStack): Promise<void> {
  const { metrics: listen } = state.policy
  if (listen === undefined) return
  const metrics = new Metrics(state)
  const close = await serveHttp({
    ...listen,
    metrics: () => metrics.expose(),
    problems: () => problemsOf(state),
  })
  undo.push('close the metrics port', close)
}

async function putFirewallInPlace(state: DaemonState, { flush, undo, log }: Start): Promise<void> {
  const { firewall, enforced, serial, policy, health } = state
  undo.push('remove the chains', async () => {
    await serial.close()
    await firewall.down({ keepBans: !flush })
    const bans = counted(enforced.ledger.list().length, 'ban')
    if (flush) enforced.ledger.keepScopes([])
    log.info(
      'chains-removed',
      `chains removed; ${bans} ${flush ? 'lifted' : 'left to the kernel until their time is over'}`,
    )
  })
  if (await watchPanic(state)) {
    await state.store?.start()
    return
  }
  await firewall.up()
  health.problems = []
  const scopes = [ALL_PORTS, ...policy.services.map(({ name }) => name)]
  const adopted = enforced.adopt(scopes, setSizes())
  if (adopted.length > 0)
    log.info('adopted', `adopted ${counted(adopted.length, 'ban')} that the kernel held`)
  await state.store?.start()
  await serial.run(() => {
    liftAllowed(state)
    liftShadowed(state)
  })
}

/** For /healthz. */
function problemsOf({ health, threads, store }: DaemonState): string[] {
  const dead = threads.all.length - threads.live
  return [
    ...health.problems,
    ...(dead === 0 ? [] : [`${counted(dead, 'path thread')} not running`]),
    ...(store?.problem === undefined ? [] : [store.problem]),
  ]
}

/** How tests see what a defect in the path does. */
function faultAtPacket(): number | undefined {
  const text = process.env.SLUICE_FAULT_AT_PACKET
  return text === undefined ? undefined : Number(text)
}
