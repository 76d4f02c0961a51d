import type { SshOpening } from '../../src/control/evidence/ssh-opening.ts'
import { formatPrefix } from '../../src/net/prefix.ts'
import type { Flow } from '../../src/replay/flows/flow-tracker.ts'
import { SSH_SERVERS } from './servers.ts'
import { rowOf, type SessionRow, type Truth } from './session-rows.ts'
import { type Measurement, SessionRunner } from './session-runner.ts'
import { SSH_CASES } from './ssh-cases.ts'
import { SshServer } from './ssh-server.ts'

const ASK = new URL('programs/ask-ssh-server.mjs', import.meta.url).pathname

/** Every case once against one server. How it begins is added to `openings`. */
export async function measureSsh(
  measurement: Measurement,
  openings: Map<string, SshOpening>,
): Promise<SessionRow[]> {
  const runner = new SessionRunner(measurement)
  try {
    const server = await SshServer.start(runner.server, SSH_SERVERS[measurement.name]!)
    openings.set(measurement.name, JSON.parse(runner.server.run(process.execPath, ASK)))
    const runs = await runner.run(SSH_CASES, [22], (each, context) =>
      each.command({ ...context, right: server.password, file: (name) => server.scratch.path(name) }),
    )
    const said = new Said(server.log())
    return runs.flatMap(({ case: { name, truth }, number, sessions }) =>
      sessions.flatMap((session) => {
        const real = said.truth(session, truth)
        if (real === undefined) return []
        return rowOf(session, {
          kind: 'ssh',
          run: number,
          truth: real,
          tries: said.tries(session),
          roundTripMs: measurement.roundTripMs,
          server: measurement.name,
          name,
        })
      }),
    )
  } finally {
    runner.close()
  }
}

/** What the server's log says of a connection, by the client's address and port. */
class Said {
  readonly #accepted = new Set<string>()
  readonly #failures = new Map<string, number>()

  constructor(log: string) {
    // OpenSSH and Dropbear.
    const accepted = /Accepted \S+ for \S+ from (\S+) port (\d+)|auth succeeded for \S+.* from (\S+):(\d+)/g
    const failed =
      /Failed (?:password|publickey) for .*?from (\S+) port (\d+)|Bad password attempt for \S+ from (\S+):(\d+)|Login attempt for nonexistent user from (\S+):(\d+)/g
    for (const match of log.matchAll(accepted)) this.#accepted.add(keyOf(match))
    for (const match of log.matchAll(failed)) {
      const key = keyOf(match)
      this.#failures.set(key, (this.#failures.get(key) ?? 0) + 1)
    }
  }

  tries(session: Flow): number {
    return this.#failures.get(keyOfSession(session)) ?? 0
  }

  /** `undefined` where the case did not do what it should. */
  truth(session: Flow, expected: Truth): Truth | undefined {
    if (this.#accepted.has(keyOfSession(session))) return 'succeeded'
    if (expected === 'succeeded') return undefined
    return expected === 'failed' && this.tries(session) === 0 ? 'none' : expected
  }
}

function keyOf(match: RegExpMatchArray): string {
  const [address, port] = match.slice(1).filter((group) => group !== undefined)
  return `${address} ${port}`
}

function keyOfSession({ address, clientPort }: Flow): string {
  return `${formatPrefix(address)} ${clientPort}`
}
