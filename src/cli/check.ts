import { Command } from 'commander'
import type { PolicyError } from '../config/load.ts'
import type { Policy } from '../config/policy.ts'

interface Options {
  readonly explain?: true
  readonly json?: true
}

/**
 * `sluice check FILE`: whether a policy is valid. Ends with EXIT.config and every error if not, and with
 * EXIT.noInput if it cannot be read.
 */
export function checkCommand(): Command {
  return new Command('check')
    .description('say whether a policy file is valid, with every error; exit status 78 if not')
    .argument('<file>', 'policy file')
    .option('--explain', 'say what the policy means, defaults included')
    .option('--json', 'one line of JSON: the policy or the errors')
    .action(check)
}

/** YAML and zod take a while to load: other commands must not wait for them. */
async function check(file: string, { explain, json }: Options): Promise<void> {
  const { loadPolicy, PolicyError } = await import('../config/load.ts')
  const { explainPolicy, policyAsJson } = await import('../config/explain.ts')
  try {
    const policy = loadPolicy(file)
    if (json) return console.log(JSON.stringify({ valid: true, errors: [], policy: policyAsJson(policy) }))
    console.log(`${file}: valid: ${summary(policy)}`)
    if (explain) console.log(`\n${explainPolicy(policy)}`)
  } catch (error) {
    if (json && error instanceof PolicyError) console.log(JSON.stringify(errorsAsJson(error)))
    throw error
  }
}

/** `4 services (ssh, smtp, submission, dns), 1 of them in shadow mode`. */
function summary({ mode, services }: Policy): string {
  const names = services.map(({ name }) => name).join(', ')
  const shadows = services.filter((service) => mode === 'shadow' || service.mode === 'shadow').length
  const count = `${services.length} ${services.length === 1 ? 'service' : 'services'} (${names})`
  if (shadows === 0) return count
  return `${count}, ${shadows === services.length ? 'all' : `${shadows} of them`} in shadow mode`
}

/** What `--json` writes of a policy that was refused. */
export function errorsAsJson({ file, problems }: PolicyError): object {
  return { valid: false, errors: problems.map((problem) => ({ file, ...problem })) }
}
