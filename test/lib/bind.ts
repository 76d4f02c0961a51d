import { writeFileSync } from 'node:fs'
import { eventually } from './eventually.ts'
import type { Host } from './lab.ts'

const HEAD = `$TTL 300
@ SOA ns.example.test. hostmaster.example.test. 1 3600 600 86400 300
@ NS ns.example.test.
`

export interface BindOptions {
  /** By zone: its records, besides SOA and NS. */
  readonly zones: Readonly<Record<string, string>>
  /** Addresses to listen on; all by default. */
  readonly listenOn?: readonly string[]
  /** Lines for `options`. */
  readonly options?: string
  /** Further statements. */
  readonly more?: string
}

/** BIND in the namespace of `host` until the lab closes; resolves when it listens. Answers recursive queries too. */
export async function startBind(
  host: Host,
  { zones, listenOn = ['any'], options = '', more = '' }: BindOptions,
): Promise<void> {
  const scratch = host.scratch()
  const statements = Object.entries(zones).map(([zone, records]) => {
    writeFileSync(scratch.path(zone), `${HEAD}${records}\n`)
    return `zone "${zone}" { type master; file "${scratch.path(zone)}"; };`
  })
  const config = `
options {
  directory "${scratch.directory}";
  pid-file none;
  session-keyfile none;
  listen-on { ${listenOn.map((address) => `${address};`).join(' ')} };
  listen-on-v6 { ${listenOn.includes('any') ? 'any;' : 'none;'} };
  recursion yes;
  allow-recursion { any; };
  dnssec-validation no;
  version none;
  ${options}
};
controls { };
logging { category default { null; }; };
${more}
${statements.join('\n')}
`
  writeFileSync(scratch.path('conf'), config)
  const named = host.spawn('named', ['-f', '-n', '1', '-c', scratch.path('conf')], { stdio: 'ignore' })
  await eventually('BIND listens', async () => {
    if (named.exitCode !== null) throw new Error(`named has ended with ${named.exitCode}`)
    const { stdout } = await host.attempt('ss', '-Hltn', 'sport = :53')
    return stdout !== ''
  })
}
