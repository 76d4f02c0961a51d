import { EXIT, Failure } from '../failure.ts'
import { flushBlockingSets } from '../firewall/sets.ts'
import { type CompiledPolicy, compilePolicy } from '../path/compile.ts'
import { counted } from './counted.ts'
import { withSlip } from './dns/slip.ts'
import {
  type PanicMark,
  type PanicRow,
  readPanicMark,
  removePanicMark,
  writePanicMark,
} from './panic-marker.ts'
import type { Results } from './requests/protocol.ts'
import type { DaemonState, PanicState } from './state.ts'

/** So often the log repeats that panic is on. */
const REMINDER_MS = 5 * 60_000

/** The policy as the path threads get it: in a panic they refuse nothing, whatever still comes to them. */
export function compiledFor({
  policy,
  slots,
  panic,
  slip,
}: Pick<DaemonState, 'policy' | 'slots' | 'panic' | 'slip'>): CompiledPolicy {
  const compiled = compilePolicy(withSlip(policy, slip), slots)
  if (panic.mark !== undefined) compiled.isShadow.fill(1)
  return compiled
}

/**
 * Lets everything pass until `endPanic`, over restarts too: the path refuses nothing, bans and holds are lifted,
 * and then the chains go. Should the chains stay, all passes all the same, and `watchPanic` tries again.
 *
 * @throws Failure from the firewall
 */
export async function beginPanic(
  state: DaemonState,
  reason: string,
  dropChains: () => Promise<unknown> = () => state.serial.run(() => state.firewall.suspend()),
): Promise<Results['panic']> {
  const { panic, enforced, watched, threads, log } = state
  const isNew = panic.mark === undefined
  panic.mark ??= { since: new Date(), reason }
  const note = panic.isOnDisk ? undefined : keepMark(state, panic.mark)
  const lifted = enforced.suspend() + watched.suspend()
  await threads.swap(compiledFor(state))
  flushBlockingSets()
  state.health.problems = [inWords(panic.mark)]
  if (isNew) {
    panic.saidMs = state.now()
    log.warn(
      'panic',
      `${inWords(panic.mark)}; lifted ${counted(lifted, 'ban')}${note === undefined ? '' : `; ${note}`}`,
    )
  }
  await dropChains()
  return { ...panicRow(panic)!, lifted, notes: note === undefined ? [] : [note] }
}

/** Limits and bans again. When the chains cannot be put back, panic stays on. @throws Failure */
export async function endPanic(state: DaemonState): Promise<Results['resume']> {
  const { panic, enforced, watched, firewall, threads, policy, health, log } = state
  const { mark } = panic
  if (mark === undefined) throw new Failure(EXIT.refused, 'there is no panic: sluice limits and bans')
  const notes: string[] = []
  try {
    if (policy.state !== undefined) removePanicMark(policy.state.directory)
  } catch (error) {
    notes.push(`the mark stays (${codeOf(error)}): the next start begins with panic`)
  }
  panic.mark = undefined
  panic.isOnDisk = false
  try {
    await firewall.resume()
  } catch (error) {
    panic.mark = mark
    keepMark(state, mark)
    throw error
  }
  for (const bans of [enforced, watched]) bans.isSuspended = false
  await threads.swap(compiledFor(state))
  health.problems = []
  log.warn(
    'resume',
    `panic is over: sluice limits and bans again${notes.map((note) => `; ${note}`).join('')}`,
  )
  return { since: mark.since.toISOString(), notes }
}

/**
 * One round of looking after a panic. Somebody who could not reach the daemon may have made the mark, or have
 * removed it. Returns whether panic is on.
 */
export async function watchPanic(state: DaemonState): Promise<boolean> {
  const { panic, policy, firewall, log } = state
  const found = policy.state && readPanicMark(policy.state.directory)
  if (panic.mark === undefined) {
    if (found === undefined) return false
    panic.isOnDisk = true
    // This runs in `serial` already.
    await beginPanic(state, found.reason, () => firewall.suspend())
    return true
  }
  if (panic.isOnDisk && found === undefined) {
    await endPanic(state)
    return false
  }
  state.health.problems = [inWords(panic.mark)]
  await firewall.suspend()
  if (state.now() - panic.saidMs >= REMINDER_MS) {
    panic.saidMs = state.now()
    log.warn('panic', inWords(panic.mark))
  }
  return true
}

/** For status and explain. */
export function panicRow({ mark, isOnDisk }: PanicState): PanicRow | null {
  return mark === undefined
    ? null
    : { since: mark.since.toISOString(), reason: mark.reason, isRemembered: isOnDisk }
}

function inWords({ since, reason }: PanicMark): string {
  return `PANIC since ${since.toISOString()} (${reason}): nothing is limited and nobody is banned until "sluice resume"`
}

/** Returns what to know if it could not be made. */
function keepMark({ panic, policy }: DaemonState, mark: PanicMark): string | undefined {
  if (policy.state === undefined) return 'with "state: off" it ends when sluice stops'
  try {
    writePanicMark(policy.state.directory, mark.reason)
    panic.isOnDisk = true
    return undefined
  } catch (error) {
    return `it ends when sluice stops: the mark in ${policy.state.directory} could not be made (${codeOf(error)})`
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error)
}
