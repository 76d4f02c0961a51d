// Measures how sessions look from outside: drives real servers with real clients through everything that can
// become of a login, and writes what conntrack would have counted of each session to rules/outcomes/. As root, in
// network namespaces.
import { mkdirSync, writeFileSync } from 'node:fs'
import { Option } from 'commander'
import type { SshOpening } from '../../src/control/evidence/ssh-opening.ts'
import { numberFrom, requireRoot, tool } from '../lib/tool.ts'
import { seeded } from '../record/random.ts'
import { measureMail } from './measure-mail.ts'
import { measureSsh } from './measure-ssh.ts'
import { MAIL_SERVERS, SSH_SERVERS } from './servers.ts'
import { formatOpenings, formatRows, type SessionRow } from './session-rows.ts'

interface Options {
  readonly rounds: number
  readonly seed: number
  readonly kind?: string
  readonly server?: string
  readonly case?: string
  readonly out: string
}

const program = tool('npm run measure --', 'measures what sessions with real servers look like to conntrack')
  .option('--rounds <number>', 'how often', numberFrom(1), 4)
  .option('--seed <number>', 'of what is random', numberFrom(0), 1)
  .addOption(new Option('--kind <kind>', 'only these servers').choices(['ssh', 'smtp']))
  .addOption(
    new Option('--server <name>', 'only this one').choices(Object.keys({ ...SSH_SERVERS, ...MAIL_SERVERS })),
  )
  .option('--case <name>', 'only this one')
  .option('--out <folder>', 'where the tables go', 'rules/outcomes')
  .parse()
requireRoot(program)
const values = program.opts<Options>()

/** From next door to another continent. */
const ROUND_TRIPS_MS = [0, 40, 8, 150]

const measurements = {
  ssh: { servers: SSH_SERVERS, measure: measureSsh },
  smtp: { servers: MAIL_SERVERS, measure: measureMail },
} as const

const openings = new Map<string, SshOpening>()
mkdirSync(values.out, { recursive: true })
for (const kind of ['ssh', 'smtp'] as const) {
  if (values.kind !== undefined && values.kind !== kind) continue
  const rows: SessionRow[] = []
  const names = Object.keys(measurements[kind].servers).filter((name) => name === (values.server ?? name))
  for (let round = 0; round < values.rounds; round++) {
    for (const [i, name] of names.entries()) {
      const random = seeded(values.seed * 1000 + round * 50 + i)
      const roundTripMs = ROUND_TRIPS_MS[(round * 3 + i) % ROUND_TRIPS_MS.length]!
      // As on Windows in each second pair of rounds, of which one is over IPv4 and one over IPv6.
      const timestamps = Math.floor(round / 2) % 2 === 0
      const family = (round + i) % 2 === 0 ? 4 : 6
      const firstRun = rows.length === 0 ? 0 : rows.at(-1)!.run + 1
      const how = { name, family, random, roundTripMs, timestamps, only: values.case, firstRun } as const
      const found = await measurements[kind].measure(how, openings)
      rows.push(...found)
      console.log(
        `${kind}, round ${round + 1}, ${name}, IPv${family}, ${roundTripMs} ms, ${timestamps ? 'with' : 'without'} timestamps: ${found.length} sessions`,
      )
      writeFileSync(`${values.out}/${kind}.tsv`, formatRows(rows))
      if (kind === 'ssh') writeFileSync(`${values.out}/ssh-servers.tsv`, formatOpenings(openings))
    }
  }
}
