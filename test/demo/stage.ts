import { readFileSync } from 'node:fs'
import { loadPolicy } from '../../src/config/load.ts'
import type { BanRow } from '../../src/control/requests/rows.ts'
import type { Family } from '../../src/net/prefix.ts'
import { Hydra } from '../lib/hydra.ts'
import { ATTACKER, HONEST, Scene, SERVER } from '../lib/scene.ts'
import { Sluice } from '../lib/sluice.ts'
import { Sshd } from '../lib/sshd.ts'

const POLICY = new URL('../../rules/sluice.yaml', import.meta.url).pathname

/** What is known of one attack. */
export interface Attack {
  readonly letIn: number
  readonly refused: number
  /** Packets that the ban has dropped. */
  readonly dropped: number
  readonly guesses: number
  readonly ban: BanRow | undefined
}

/** Everything in the two namespaces: sshd behind sluice with the shipped policy, hydra, an honest client. */
export class Stage {
  /** What the shipped policy grants one source. */
  readonly rule: string
  readonly #sluice: Sluice
  readonly #scene: Scene
  readonly #sshd: Sshd
  #hydra: Hydra | undefined
  /** Refusals before the attack that is on now. */
  #refusedBefore = 0
  #refused = 0

  private constructor(scene: Scene, sshd: Sshd, sluice: Sluice) {
    this.#scene = scene
    this.#sshd = sshd
    const { source } = loadPolicy(POLICY).services.find(({ name }) => name === 'ssh')!.limits
    this.rule = `a source gets ${source!.burst} connections, then ${source!.ratePerSecond * 60} a minute`
    this.#sluice = sluice
  }

  /** Whatever becomes of this process, its namespaces end with it, and with them all that runs there. */
  static async build(): Promise<Stage> {
    const scene = new Scene()
    process.on('exit', () => scene.close())
    const sshd = await Sshd.start(scene.server)
    const sluice = await Sluice.start(scene.server, readFileSync(POLICY, 'utf8'))
    return new Stage(scene, sshd, sluice)
  }

  async attack(family: Family): Promise<void> {
    await this.#hydra?.close()
    this.#refusedBefore = this.#refused
    const address = family === 4 ? SERVER[4] : `[${SERVER[6]}]`
    this.#hydra = new Hydra(this.#scene.client, `ssh://${address}`)
  }

  /** Looks at the attack over `family`, which is the one that is on. */
  async look(family: Family): Promise<Attack> {
    const status = await this.#sluice.status()
    const bans = await this.#sluice.ask({ op: 'bans list' })
    const ban = bans.find(({ prefix }) => prefix.includes(':') === (family === 6))
    this.#refused = status.services.find(({ name }) => name === 'ssh')!.refused
    const { connections, guesses } = this.#sshd.seen(ATTACKER[family])
    return {
      letIn: connections,
      // The honest client is never refused: its logins would show it.
      refused: this.#refused - this.#refusedBefore,
      dropped: ban === undefined ? 0 : await this.#dropped(family),
      guesses,
      ban,
    }
  }

  /** Milliseconds that an honest login took; `undefined`: it did not work. */
  login(family: Family): Promise<number | undefined> {
    return this.#sshd.login(this.#scene.client, HONEST[family], SERVER[family])
  }

  /** Ends everything in order. Returns the exit status of sluice. */
  async close(): Promise<number | string> {
    await this.#hydra?.close()
    const status = await this.#sluice.stop()
    this.#sshd.close()
    this.#scene.close()
    return status
  }

  async #dropped(family: Family): Promise<number> {
    const command = family === 4 ? 'iptables-save' : 'ip6tables-save'
    const { stdout } = await this.#scene.server.attempt(command, '-c', '-t', 'raw')
    const rule = stdout.split('\n').find((line) => line.includes(`sluice-ban-ssh-${family} `))
    return Number(/^\[(\d+):/.exec(rule ?? '')?.[1] ?? 0)
  }
}
