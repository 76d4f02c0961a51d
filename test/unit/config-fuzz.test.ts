import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { PolicyError, parsePolicy } from '../../src/config/load.ts'
import { EXIT } from '../../src/failure.ts'

const SHIPPED = readFileSync(new URL('../../rules/sluice.yaml', import.meta.url), 'utf8')
/** Without comments, so that nearly every mutation hits something. */
const DENSE = SHIPPED.replaceAll(/^\s*#.*\n|\s+#.*$/gm, '')

/** Accepts a policy, or a refusal as it should be: every line at a place that exists in the text. */
function expectAnAnswer(text: string): void {
  try {
    expect(parsePolicy(text, 'p').services.length).toBeGreaterThan(0)
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    expect(error.status).toBe(EXIT.config)
    expect(error.problems.length).toBeGreaterThan(0)
    const lines = text.split(/\r?\n/)
    for (const { line, column } of error.problems) {
      expect(line).toBeGreaterThanOrEqual(1)
      expect(line).toBeLessThanOrEqual(lines.length)
      expect(column).toBeGreaterThanOrEqual(1)
    }
    for (const line of error.message.split('\n')) expect(line).toMatch(/^p:(\d+:\d+:)? \S/)
  }
}

const SNIPPETS = [
  '*a',
  '&a ',
  '<<: *a',
  '!!binary ',
  '---\n',
  '...\n',
  '%YAML 1.1\n',
  '\t',
  '\0',
  '__proto__: ',
  'constructor: ',
  'toString: ',
  '? ',
  '- ',
  '{',
  '}',
  '[',
  ']',
  ': ',
  ',',
  '"',
  "'",
  '|\n',
  '>\n',
  '~',
  'null',
  '.nan',
  '-.inf',
  '0x10',
  '1e400',
  '\u2028',
  '\ud800',
  '\r',
  '#',
  '/0',
  '-1',
  '99999999999999999999',
  'yes',
  '  ',
]

const edit = fc.record({ at: fc.nat(DENSE.length), cut: fc.nat(12), put: fc.constantFrom(...SNIPPETS) })

test('a mutated policy is accepted or refused, never anything else', () => {
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      const text = edits.reduce((t, { at, cut, put }) => t.slice(0, at) + put + t.slice(at + cut), DENSE)
      expectAnAnswer(text)
    }),
    { numRuns: 400 },
  )
})

test('any text is accepted or refused', () => {
  const soup = fc.array(fc.oneof(fc.constantFrom(...SNIPPETS, '\n', 'services:', 'mode:'), fc.string()), {
    maxLength: 40,
  })
  fc.assert(
    fc.property(soup, (parts) => expectAnAnswer(parts.join(''))),
    { numRuns: 1000 },
  )
})

test('any values in the place of settings are accepted or refused', () => {
  const words = 'mode services ssh ports limits source burst rate ban allow queue metrics enabled'.split(' ')
  const word = fc.constantFrom(...words, '__proto__', 'constructor', 'hasOwnProperty', '22', '')
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      tie('leaf'),
      fc.dictionary(word, tie('tree'), { maxKeys: 5 }),
      fc.array(tie('tree'), { maxLength: 4 }),
    ),
    leaf: fc.oneof(
      fc.constantFrom('10/min', '10m', '22', '53/udp', '::1', 'enforce', null, true, 22, 1),
      fc.string(),
      fc.double(),
      fc.integer(),
    ),
  }))
  fc.assert(
    fc.property(fc.dictionary(word, tree), (value) =>
      expectAnAnswer(stringify(value, { aliasDuplicateObjects: false })),
    ),
    { numRuns: 1000 },
  )
})
