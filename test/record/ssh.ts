import { setTimeout as sleep } from 'node:timers/promises'
import type { Family } from '../../src/net/prefix.ts'
import { Hydra } from '../lib/hydra.ts'
import { HONEST, SERVER } from '../lib/scene.ts'
import { Sshd } from '../lib/sshd.ts'
import type { Stage } from './stage.ts'

/** Hydra guesses with `tasks` connections at a time, and nobody stops it. */
export async function hydra(
  stage: Stage,
  target: { scheme: string; family: Family; port: number },
  tasks: number,
  seconds: number,
): Promise<void> {
  const host = target.family === 4 ? SERVER[4] : `[${SERVER[6]}]`
  const guesser = new Hydra(stage.client, `${target.scheme}://${host}:${target.port}`, tasks)
  await sleep(1000 * seconds)
  await guesser.close()
}

/** OpenSSH's client with one wrong password from `from`, an address of the client. */
async function guess(stage: Stage, from: string): Promise<void> {
  const options = {
    BindAddress: from,
    NumberOfPasswordPrompts: '1',
    PreferredAuthentications: 'password',
    StrictHostKeyChecking: 'no',
    UserKnownHostsFile: '/dev/null',
  }
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  // What this program prints is the password: here, the question itself.
  const ask = ['SSH_ASKPASS=/bin/echo', 'SSH_ASKPASS_REQUIRE=force']
  await stage.client.attempt('env', ...ask, 'ssh', '-F', 'none', ...flags, `admin@${SERVER[4]}`)
}

/** `count` guesses from one address, one every `everyMs`. */
export async function guessSteadily(
  stage: Stage,
  from: string,
  count: number,
  everyMs: number,
): Promise<void> {
  const sshd = await Sshd.start(stage.server)
  for (let i = 0; i < count; i++) await Promise.all([guess(stage, from), sleep(everyMs)])
  checkGuesses(sshd, count)
}

/** `rounds` guesses from each of `addresses`, a few at a time. */
export async function guessFromMany(
  stage: Stage,
  addresses: readonly string[],
  rounds: number,
): Promise<void> {
  for (const address of addresses) stage.addClient(address)
  const sshd = await Sshd.start(stage.server)
  const waiting = Array.from({ length: rounds }, () => addresses).flat()
  const guesser = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await guess(stage, next)
  }
  await Promise.all(Array.from({ length: 4 }, guesser))
  checkGuesses(sshd, rounds * addresses.length)
}

/** `count` logins with a key, all at once. */
export async function logins(stage: Stage, count: number): Promise<void> {
  const sshd = await Sshd.start(stage.server)
  const times = await Promise.all(
    Array.from({ length: count }, () => sshd.login(stage.client, HONEST[4], SERVER[4])),
  )
  if (times.includes(undefined)) throw new Error(`not every login worked: ${sshd.log()}`)
}

function checkGuesses(sshd: Sshd, count: number): void {
  const guesses = sshd.log().match(/^Failed password for /gm)?.length
  if (guesses !== count) throw new Error(`sshd has seen ${guesses} guesses of ${count}`)
}
