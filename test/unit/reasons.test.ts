import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { REASONS, Reason } from '../../src/path/reasons.ts'

test('each named reason has its place in the list', () => {
  const camelCase = (name: string) => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
  expect(Reason).toEqual(Object.fromEntries(REASONS.map(({ name }, i) => [camelCase(name), i])))
})

test('docs/reasons.md has a row for each reason, in the same words', () => {
  const page = readFileSync(new URL('../../docs/reasons.md', import.meta.url), 'utf8')
  const rows = page.split('\n').filter((line) => line.startsWith('| `'))
  const expected = REASONS.map(
    ({ name, refuses, meaning }) => `| \`${name}\` | ${refuses ? 'refused' : 'accepted'} | ${meaning} |`,
  )
  expect(rows).toEqual(expected)
})
