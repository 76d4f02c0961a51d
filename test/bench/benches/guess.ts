import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { guessPassword } from '../../lib/guess-password.ts'
import { Hydra } from '../../lib/hydra.ts'
import { ATTACKER, Scene, SERVER } from '../../lib/scene.ts'
import { Sluice } from '../../lib/sluice.ts'
import { Sshd } from '../../lib/sshd.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { Fail2ban } from '../runner/fail2ban.ts'
import type { Stage } from '../runner/stage.ts'

const SHIPPED = new URL('../../../rules/sluice.yaml', import.meta.url)
const SECOND = 1000

/** Who guesses, until nobody answers him any more or he gives up. */
interface Guesser {
  readonly name: string
  /** Addresses of his, beyond the attacker's own, with their prefix lengths. */
  readonly addresses?: readonly string[]
  readonly guess: (scene: Scene, isOver: () => boolean) => Promise<void>
}

const hydra = (tasks: number): Guesser => ({
  name: `hydra, ${tasks} at a time`,
  guess: async ({ client }, isOver) => {
    const attack = new Hydra(client, `ssh://${SERVER[4]}`, tasks)
    const endMs = performance.now() + 30 * SECOND
    while (!isOver() && performance.now() < endMs) await sleep(20)
    await attack.close()
  },
})

/** One guess with a connection of its own each `everyMs`, from one address after the other. */
function paced(name: string, everyMs: number, most: number, addresses: readonly string[] = []): Guesser {
  return {
    name,
    addresses: addresses.map((address) => `${address}/${address.includes(':') ? 128 : 32}`),
    guess: async ({ client }, isOver) => {
      for (let i = 0; i < most && !isOver(); i++) {
        const from = addresses[i % addresses.length] ?? ATTACKER[4]
        const to = from.includes(':') ? SERVER[6] : SERVER[4]
        await Promise.all([guessPassword(client, from, to), sleep(everyMs)])
      }
    },
  }
}

const count = (length: number, address: (i: number) => string) => Array.from({ length }, (_, i) => address(i))
const GUESSERS: readonly Guesser[] = [
  hydra(16),
  hydra(4),
  paced('30 a minute', 2 * SECOND, 20),
  paced('2 a minute', 30 * SECOND, 8),
  paced('1 a minute', 60 * SECOND, 8),
  paced(
    'an IPv6 /64, a new address for each guess, 30 a minute',
    2 * SECOND,
    32,
    count(32, (i) => `2001:db8:bad:1::${(i + 16).toString(16)}`),
  ),
  paced(
    '64 addresses of a /24 in turn, 60 a minute',
    SECOND,
    128,
    count(64, (i) => `203.0.113.${i + 100}`),
  ),
]

export const guess: Bench = {
  name: 'guess',
  question: 'how many passwords does a guesser get to try, at each pace, until he is banned?',
  metrics: {
    guesses: { unit: '', isCost: true },
    ban: { unit: 's', isCost: true },
  },
  targets: [{ metric: 'guesses', of: { contestant: 'sluice' }, over: { contestant: 'fail2ban' }, atMost: 1 }],
  *cases(stage: Stage): Generator<Case> {
    for (const guesser of GUESSERS) {
      // Both defences at the same time, each with a server and a guesser of its own.
      const both = sideBySide(stage, guesser)
      yield {
        name: guesser.name,
        isFresh: true,
        rounds: 1,
        contestants: new Map([
          ['sluice', async () => (await both()).sluice],
          ['fail2ban', async () => (await both()).fail2ban],
        ]),
      }
    }
  },
}

function sideBySide(stage: Stage, guesser: Guesser) {
  let running: Promise<{ sluice: Figures; fail2ban: Figures }> | undefined
  const run = async () => {
    const [sluice, fail2ban] = await Promise.all([
      defend(stage, guesser, withSluice),
      defend(stage, guesser, withFail2ban),
    ])
    return { sluice, fail2ban }
  }
  return () => {
    running ??= run()
    return running
  }
}

/** Starts a defence. @returns whether it has banned anybody */
type Defence = (stage: Stage, scene: Scene, sshd: Sshd) => Promise<() => Promise<boolean>>

async function defend(stage: Stage, guesser: Guesser, start: Defence): Promise<Figures> {
  const scene = new Scene()
  stage.onEnd(() => scene.close())
  scene.client.addAddress(...(guesser.addresses ?? []))
  // The host keys that Debian makes.
  const sshd = await Sshd.start(scene.server, { hostKeys: ['rsa', 'ecdsa', 'ed25519'] })
  stage.onEnd(() => sshd.close())
  const hasBanned = await start(stage, scene, sshd)
  const startMs = performance.now()
  let banMs: number | undefined
  let isOver = false
  const watch = async () => {
    while (!isOver && banMs === undefined) {
      if (await hasBanned()) banMs = performance.now()
      await sleep(50)
    }
  }
  const watching = watch()
  await guesser.guess(scene, () => banMs !== undefined)
  isOver = true
  await watching
  // What was on its way may still be logged.
  await sleep(SECOND)
  const guesses = sshd.log().match(/^Failed password for /gm)?.length ?? 0
  return { guesses, ban: banMs === undefined ? Number.POSITIVE_INFINITY : (banMs - startMs) / 1000 }
}

const withSluice: Defence = async (stage, scene) => {
  const sluice = await Sluice.start(scene.server, readFileSync(SHIPPED, 'utf8'))
  stage.onEnd(() => sluice.stop())
  return async () => (await sluice.ask({ op: 'bans list' })).length > 0
}

const withFail2ban: Defence = async (stage, scene, sshd) => {
  const fail2ban = await Fail2ban.start(scene.server, sshd, 'polling')
  stage.onEnd(() => fail2ban.close())
  return async () => scene.server.run('ipset', 'list').match(/^\d+\.|^[0-9a-f]+:/m) !== null
}
