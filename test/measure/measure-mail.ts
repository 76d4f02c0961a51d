import { formatPrefix } from '../../src/net/prefix.ts'
import { MailServer } from './mail-server.ts'
import { MAIL_SERVERS } from './servers.ts'
import { rowOf, type SessionRow } from './session-rows.ts'
import { type Measurement, SessionRunner } from './session-runner.ts'
import { type Security, SMTP_CASES, type SmtpCase } from './smtp-cases.ts'

const PLACES: readonly { port: 25 | 465 | 587; security: Security }[] = [
  { port: 25, security: 'plain' },
  { port: 25, security: 'starttls' },
  { port: 587, security: 'plain' },
  { port: 587, security: 'starttls' },
  { port: 465, security: 'tls' },
]

/** Every case once against one server, on every port that it fits. */
export async function measureMail(measurement: Measurement): Promise<SessionRow[]> {
  const runner = new SessionRunner(measurement)
  try {
    const server = await MailServer.start(runner.server, MAIL_SERVERS[measurement.name]!)
    const cases = SMTP_CASES.flatMap((each) =>
      PLACES.filter((place) => fits(each, place)).map((place) => ({ ...each, ...place })),
    )
    const runs = await runner.run(cases, [25, 465, 587], (each, context) =>
      each.command({ ...context, port: each.port, security: each.security, right: server.password }),
    )
    const log = server.log()
    return runs.flatMap(({ case: { name, truth, port, security }, number, sessions }) =>
      sessions.map((session) => {
        const from = `[${formatPrefix(session.address)}]:${session.clientPort}`
        const tries = log.split(`${from}: SASL`).length - 1
        // Postfix names who has logged in when a mail begins; a strict server hangs up before that.
        const isIn = !/AUTH.*mail/.test(name) || log.includes(`${from}, sasl_method=`)
        const real = truth === 'succeeded' && isIn ? truth : tries > 0 ? 'failed' : 'none'
        return rowOf(session, {
          kind: 'smtp',
          run: number,
          truth: real,
          tries,
          roundTripMs: measurement.roundTripMs,
          server: measurement.name,
          name: `${name} (${port} ${security})`,
        })
      }),
    )
  } finally {
    runner.close()
  }
}

function fits({ ports, security }: SmtpCase, place: (typeof PLACES)[number]): boolean {
  return (
    (ports ?? [place.port]).includes(place.port) && (security ?? [place.security]).includes(place.security)
  )
}
