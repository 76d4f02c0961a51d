import type { Arena } from './arena.ts'
import type { Stage } from './stage.ts'
import { quantile } from './statistics.ts'
import { Talker } from './talker.ts'

const PORT = '22'
const PAUSE_US = 2500

/** Nanoseconds from SYN to SYN-ACK. */
export interface Waits {
  readonly p50: number
  readonly p99: number
  readonly worst: number
}

/** Someone who listens on port 22 of an arena's server. */
export async function listen(stage: Stage, { server }: Arena): Promise<void> {
  const talker = await Talker.start(server, stage.compiled('knock'), ['listen', PORT])
  stage.onEnd(() => talker.close())
}

/**
 * Comes to port 22 of an arena's server 400 times a second, for `stage.seconds`.
 *
 * @throws Error if a connection fails.
 */
export async function knock(stage: Stage, { sender, server }: Arena): Promise<Waits> {
  const times = Math.round((stage.seconds * 1e6) / PAUSE_US)
  const args = ['connect', server.ipv4, PORT, `${times}`, `${PAUSE_US}`]
  const { stdout } = await sender.attempt(stage.compiled('knock'), ...args)
  const waits = stdout.trim().split('\n').map(Number)
  if (waits.some((wait) => wait < 0)) throw new Error('a connection of the honest client has failed')
  return { p50: quantile(waits, 0.5), p99: quantile(waits, 0.99), worst: quantile(waits, 1) }
}
