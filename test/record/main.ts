// Makes the captures of pcaps/, and what is expected of each under the shipped policy: as root, with the Debian
// packages that pcaps/README.md names.
import { writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { anyOf, requireRoot, tool } from '../lib/tool.ts'
import { Account } from './account.ts'
import { readAttempts } from './attempts.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'
import { shippedPolicy } from './shipped.ts'

async function main(): Promise<void> {
  const names = SCENARIOS.map(({ name }) => name)
  const program = tool(
    'npm run record --',
    'makes the captures of pcaps/ and what is expected of them, as root',
  )
    .addArgument(anyOf(names, 'the captures to make'))
    .option('--expect', 'only what is expected, as after a change of the policy')
    .parse()
  const { expect: isExpectOnly } = program.opts<{ expect?: true }>()
  if (isExpectOnly === undefined) requireRoot(program)
  const wanted = program.args
  for (const scenario of SCENARIOS) {
    if (wanted.length > 0 && !wanted.includes(scenario.name)) continue
    const path = `pcaps/${scenario.name}.pcap.gz`
    if (isExpectOnly === undefined) writeFileSync(path, gzipSync(await scenario.make(), { level: 9 }))
    expect(scenario, path)
    console.log(path)
  }
}

function expect({ name, enable }: Scenario, path: string): void {
  const account = new Account(shippedPolicy(enable))
  for (const attempt of readAttempts(path)) account.enter(attempt)
  writeFileSync(`pcaps/${name}.expect.json`, `${JSON.stringify(account.expectation, undefined, 2)}\n`)
}

await main()
