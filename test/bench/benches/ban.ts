import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Hydra } from '../../lib/hydra.ts'
import { ATTACKER, Scene, SERVER } from '../../lib/scene.ts'
import { Sluice } from '../../lib/sluice.ts'
import { Sshd } from '../../lib/sshd.ts'
import { droppedBy } from '../runner/arena.ts'
import type { Bench, Case, Figures } from '../runner/bench.ts'
import { Fail2ban } from '../runner/fail2ban.ts'
import { type BenchPolicy, policyText } from '../runner/policy.ts'
import type { Stage } from '../runner/stage.ts'

const SHIPPED = new URL('../../../rules/sluice.yaml', import.meta.url)
/** What fail2ban's jail does, in connections in place of failed passwords. */
const STRICT: BenchPolicy = {
  services: {
    ssh: {
      ports: ['22/tcp'],
      limits: { source: { burst: 5, rate: '30/h' } },
      ban: { strikes: 1, within: '10m' },
    },
  },
}
const PATIENCE_MS = 60_000

export const ban: Bench = {
  name: 'ban',
  question: 'how long does a guesser of passwords go on, and how many guesses does he get?',
  metrics: {
    firstDrop: { unit: 's', isCost: true },
    ban: { unit: 's', isCost: true },
    connections: { unit: '', isCost: true },
    guesses: { unit: '', isCost: true },
  },
  targets: [
    { metric: 'firstDrop', of: { contestant: 'fail2ban' }, over: { contestant: 'sluice' }, atLeast: 10 },
    {
      metric: 'firstDrop',
      of: { contestant: 'fail2ban' },
      over: { contestant: 'sluice, as strict' },
      atLeast: 10,
    },
    { metric: 'guesses', of: { contestant: 'fail2ban' }, over: { contestant: 'sluice' } },
  ],
  *cases(stage: Stage): Generator<Case> {
    for (const tasks of [4, 16]) {
      yield {
        name: `hydra, ${tasks} at a time`,
        isFresh: true,
        rounds: 3,
        contestants: new Map([
          ['sluice', () => attack(stage, tasks, withSluice(readFileSync(SHIPPED, 'utf8')))],
          ['sluice, as strict', () => attack(stage, tasks, withSluice(policyText(STRICT)))],
          ['fail2ban', () => attack(stage, tasks, withFail2ban)],
        ]),
      }
    }
  },
}

/** What a defence has done so far. */
interface Look {
  readonly hasDropped: boolean
  readonly hasBanned: boolean
}

type Defence = (stage: Stage, scene: Scene, sshd: Sshd) => Promise<() => Promise<Look>>

async function attack(stage: Stage, tasks: number, defend: Defence): Promise<Figures> {
  const scene = new Scene()
  stage.onEnd(() => scene.close())
  // The host keys that Debian makes.
  const sshd = await Sshd.start(scene.server, { hostKeys: ['rsa', 'ecdsa', 'ed25519'] })
  stage.onEnd(() => sshd.close())
  const look = await defend(stage, scene, sshd)
  const hydra = new Hydra(scene.client, `ssh://${SERVER[4]}`, tasks)
  stage.onEnd(() => hydra.close())
  const startMs = performance.now()
  const seconds = () => (performance.now() - startMs) / 1000
  let firstDrop: number | undefined
  for (;;) {
    const { hasDropped, hasBanned } = await look()
    if (hasDropped) firstDrop ??= seconds()
    if (hasBanned) break
    if (seconds() * 1000 > PATIENCE_MS) throw new Error(`hydra was not banned within ${PATIENCE_MS / 1000} s`)
    await sleep(5)
  }
  const banSeconds = seconds()
  // What was on its way may still be logged.
  await sleep(500)
  const { connections, guesses } = sshd.seen(ATTACKER[4])
  await stage.release()
  return { firstDrop: firstDrop ?? banSeconds, ban: banSeconds, connections, guesses }
}

const withSluice =
  (policy: string): Defence =>
  async (stage, scene) => {
    const sluice = await Sluice.start(scene.server, policy)
    stage.onEnd(() => sluice.stop())
    return async () => {
      const { services } = await sluice.status()
      return {
        hasDropped: services.some(({ refused }) => refused > 0),
        hasBanned: droppedBy(scene.server, 'raw', 'DROP') > 0,
      }
    }
  }

const withFail2ban: Defence = async (stage, scene, sshd) => {
  const fail2ban = await Fail2ban.start(scene.server, sshd)
  stage.onEnd(() => fail2ban.close())
  return async () => {
    const hasBanned = droppedBy(scene.server, 'filter', 'REJECT') > 0
    return { hasDropped: hasBanned, hasBanned }
  }
}
