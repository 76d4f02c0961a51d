// Makes the captures of pcaps/, and what is expected of each under the shipped policy.
//
//   npx tsx test/record/main.ts [NAME...]            both, of all or of these
//   npx tsx test/record/main.ts --expect [NAME...]   only what is expected, as after a change of the policy
//
// As root, with the Debian packages that pcaps/README.md names.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { Account } from './account.ts'
import { readAttempts } from './attempts.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'
import { shippedPolicy } from './shipped.ts'

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { expect: { type: 'boolean', default: false } },
    allowPositionals: true,
  })
  const unknown = positionals.find((name) => !SCENARIOS.some((scenario) => scenario.name === name))
  if (unknown !== undefined) throw new RangeError(`no scenario "${unknown}" in test/record/scenarios.ts`)
  for (const scenario of SCENARIOS) {
    if (positionals.length > 0 && !positionals.includes(scenario.name)) continue
    const path = `pcaps/${scenario.name}.pcap.gz`
    if (!values.expect) writeFileSync(path, gzipSync(await scenario.make(), { level: 9 }))
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
