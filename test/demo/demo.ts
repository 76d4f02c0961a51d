import { setTimeout as sleep } from 'node:timers/promises'
import { EXIT } from '../../src/failure.ts'
import type { Family } from '../../src/net/prefix.ts'
import { Screen } from './screen.ts'
import { Stage } from './stage.ts'
import { type Act, conclusion, INTRODUCTION, seconds, standings } from './story.ts'

const ATTACK_MS = 18_000
const LOOK_MS = 250
const LOGIN_MS = 3000
const TELL_DROPS_MS = 4000
/** 128 + SIGINT. */
const INTERRUPTED = 130

const screen = new Screen()
const acts: Act[] = []
const logins: (number | undefined)[] = []

const ending = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => ending.abort())
process.exit(await main())

async function main(): Promise<number> {
  if (process.getuid?.() !== 0) {
    console.error('The demo builds network namespaces, which takes root: try "sudo npm run demo".')
    return EXIT.noPermission
  }
  screen.print(INTRODUCTION)
  let stage: Stage | undefined
  try {
    stage = await Stage.build()
    await perform(stage)
  } catch (error) {
    // Ctrl-C ends the programs that are running just now as well.
    if (!ending.signal.aborted) return fail(error as Error)
  }
  screen.close()
  const status = await stage?.close()
  if (ending.signal.aborted) screen.print('\nYou have ended the demo.')
  screen.print(conclusion(acts, logins, status))
  if (ending.signal.aborted) return INTERRUPTED
  const isAsPromised =
    acts.every(({ ban }) => ban !== undefined) && !logins.includes(undefined) && status === 0
  return isAsPromised ? EXIT.ok : EXIT.software
}

/** The end of this process removes what has been built. */
function fail({ message }: Error): number {
  screen.close()
  console.error(`\nThe demo has failed: ${message}`)
  return EXIT.software
}

async function perform(stage: Stage): Promise<void> {
  screen.event('sluice', `is ready; ${stage.rule}`)
  const curtain = new AbortController()
  const honest = logInAgainAndAgain(stage, curtain.signal)
  try {
    for (const family of [4, 6] as const) await attack(stage, family)
  } finally {
    curtain.abort()
    await honest
    screen.show(standings(acts, logins))
  }
}

async function attack(stage: Stage, family: Family): Promise<void> {
  const startMs = performance.now()
  screen.event('attacker', `hydra starts to guess passwords over IPv${family}`)
  await stage.attack(family)
  let act: Act = { ...(await stage.look(family)), family, firstRefusalMs: undefined, banMs: undefined }
  const index = acts.push(act) - 1
  let toldMs = 0
  for (let ms = 0; ms < ATTACK_MS; ms = performance.now() - startMs) {
    const now = await stage.look(family)
    const firstRefusalMs = act.firstRefusalMs ?? (now.refused > 0 ? ms : undefined)
    const banMs = act.banMs ?? (now.ban === undefined ? undefined : ms)
    if (act.firstRefusalMs !== firstRefusalMs) {
      screen.event('sluice', `refuses more: ${now.letIn} connections have used up its share`)
    }
    if (now.ban !== undefined && act.ban === undefined) {
      const { prefix, scope, reason } = now.ban
      screen.event('sluice', `BANNED ${prefix} from ${scope}: ${reason}`, ['bold', 'cyan'])
    }
    if (banMs !== undefined && ms - Math.max(toldMs, banMs) > TELL_DROPS_MS) {
      screen.event('kernel', `drops what it sends: ${now.dropped} packets so far, unseen by sluice`)
      toldMs = ms
    }
    act = { ...now, family, firstRefusalMs, banMs }
    acts[index] = act
    screen.show(standings(acts, logins))
    await sleep(LOOK_MS, undefined, { signal: ending.signal })
  }
}

async function logInAgainAndAgain(stage: Stage, end: AbortSignal): Promise<void> {
  for (let i = 0; !end.aborted; i++) {
    const family = i % 2 === 0 ? 4 : 6
    const ms = await stage.login(family)
    // One that Ctrl-C has cut short proves nothing.
    if (ending.signal.aborted) return
    logins.push(ms)
    if (ms === undefined) screen.event('honest', `could NOT log in over IPv${family}`, ['bold', 'red'])
    else screen.event('honest', `logged in over IPv${family}, in ${seconds(ms)}`)
    await sleep(LOGIN_MS, undefined, { signal: end }).catch(() => {})
  }
}
