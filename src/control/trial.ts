import { readFileSync } from 'node:fs'
import { parsePolicy } from '../config/load.ts'
import { EXIT, Failure } from '../failure.ts'
import { ALL_PORTS } from './bans/escalation.ts'
import { counted } from './counted.ts'
import { reloadable } from './pending.ts'
import { putInForce } from './put-in-force.ts'
import type { Results } from './requests/protocol.ts'
import type { Request } from './requests/requests.ts'
import { roughDuration } from './rough-duration.ts'
import type { DaemonState, Trial } from './state.ts'

/** When it could not go back, it tries again after this. */
const RETRY_MS = 5000

/**
 * Puts a policy in force for some time. The policy file is not touched: whatever becomes of this process, the next
 * start takes the old one.
 *
 * @throws Failure (config, refused, or from the firewall); then the old policy stays in force.
 */
export async function beginTrial(
  state: DaemonState,
  { text, file, seconds }: Extract<Request, { op: 'apply' }>,
): Promise<Results['apply']> {
  if (state.trial !== undefined) {
    const left = roughDuration(state.trial.endsMs - state.now())
    throw new Failure(
      EXIT.refused,
      `${state.trial.file} is on trial already, for another ${left}`,
      'confirm it with "sluice confirm", or go back to the policy file with "sluice reload"',
    )
  }
  const before = state.policy
  const { policy, pending } = reloadable(before, parsePolicy(text, file))
  const scopes = new Set([ALL_PORTS, ...policy.services.map(({ name }) => name)])
  const bansBefore = state.enforced.ledger.list().filter(({ scope }) => !scopes.has(scope))
  const lifted = await putInForce(state, policy)
  const startedMs = state.now()
  const endsMs = startedMs + seconds * 1000
  const timer = setTimeout(() => goBack(state), seconds * 1000).unref()
  state.trial = { file, text, before, bansBefore, startedMs, endsMs, timer }
  state.log.warn(
    'trial',
    `${file} is in force on trial: it goes back in ${roughDuration(seconds * 1000)} unless "sluice confirm" follows`,
  )
  return { policyFile: state.configFile, pending, lifted, secondsLeft: seconds }
}

/** What is on trial, for whoever wants to make it last. @throws Failure (refused) */
export function describeTrial(state: DaemonState): Results['trial'] {
  const { file, text, endsMs } = trialOf(state)
  return { policyFile: state.configFile, file, text, secondsLeft: secondsTo(state, endsMs) }
}

/**
 * Ends the trial in favour of its policy, when the policy file is the same: else the next start would bring
 * another one.
 *
 * @throws Failure (refused)
 */
export function confirmTrial(state: DaemonState): Results['confirm'] {
  const { file, text, timer } = trialOf(state)
  if (readFileSync(state.configFile, 'utf8') !== text) {
    throw new Failure(
      EXIT.refused,
      `${state.configFile} is not the policy on trial, so the next start would bring another one`,
      `copy ${file} there first; "sluice confirm" does that`,
    )
  }
  clearTimeout(timer)
  state.trial = undefined
  state.log.info('trial', `confirmed: ${file} is now ${state.configFile}`)
  return { policyFile: state.configFile }
}

/**
 * Takes back what the policy on trial has done to others: bans that it gave are lifted, those whose sets it took
 * away come back. To be called when another policy is in force.
 */
export function leaveTrial(state: DaemonState): void {
  const { trial, enforced, watched } = state
  if (trial === undefined) return
  clearTimeout(trial.timer)
  state.trial = undefined
  let lifted = 0
  for (const bans of [enforced, watched]) {
    const given = bans.ledger
      .list()
      .filter(({ startMs, origin }) => startMs >= trial.startedMs && origin !== 'manual')
    bans.lift(given)
    lifted += given.length
  }
  const back = trial.bansBefore.filter(({ endMs }) => endMs > state.now())
  const { restored } = enforced.recall(back, false)
  state.log.warn(
    'trial',
    `the trial of ${trial.file} is over: lifted ${counted(lifted, 'ban')} that it gave, put back ${counted(restored, 'ban')}`,
  )
}

/** For status. */
export function trialRow({ trial, now }: DaemonState): { file: string; secondsLeft: number } | null {
  return trial === undefined
    ? null
    : { file: trial.file, secondsLeft: Math.ceil((trial.endsMs - now()) / 1000) }
}

function goBack(state: DaemonState): void {
  const { serial, log } = state
  const trial = state.trial
  if (trial === undefined) return
  serial
    .run(async () => {
      // It may have been confirmed while this waited.
      if (state.trial !== trial) return
      await putInForce(state, trial.before)
      leaveTrial(state)
    })
    .catch((error: Error) => {
      if (serial.isClosed) return
      log.error('trial', `could not go back to the old policy, will try again: ${error.message}`)
      trial.timer = setTimeout(() => goBack(state), RETRY_MS).unref()
    })
}

function trialOf({ trial }: DaemonState): Trial {
  if (trial === undefined)
    throw new Failure(EXIT.refused, 'no policy is on trial', '"sluice apply FILE --confirm 5m" begins one')
  return trial
}

function secondsTo({ now }: DaemonState, ms: number): number {
  return Math.max(0, Math.ceil((ms - now()) / 1000))
}
