import { readFileSync } from 'node:fs'
import { parsePolicy } from '../../src/config/load.ts'
import type { Policy } from '../../src/config/policy.ts'

const FILE = 'rules/sluice.yaml'

/** The shipped policy with `enable`d what it has disabled. */
export function shippedPolicy(enable: readonly string[] = []): Policy {
  const shipped = readFileSync(FILE, 'utf8')
  const text = enable.reduce(
    (text, service) => text.replace(new RegExp(`(^  ${service}:\n    enabled:) false`, 'm'), '$1 true'),
    shipped,
  )
  return parsePolicy(text, FILE)
}
