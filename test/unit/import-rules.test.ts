import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'

const SOURCE = new URL('../../src/', import.meta.url).pathname

function sourceFiles(): string[] {
  return readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
}

/** Each file of src/ with the modules that it imports: paths below src/, or package names. */
const imports = new Map(
  sourceFiles().map((file) => {
    const text = readFileSync(join(SOURCE, file), 'utf8')
    const names = [...text.matchAll(/(?:from|import)\s*\(?'([^']+)'/g)].map(([, name]) => name!)
    const resolved = names.map((name) =>
      name.startsWith('.') ? relative(SOURCE, join(SOURCE, dirname(file), name)) : name,
    )
    return [file, resolved] as const
  }),
)

/** The files outside `allowed` that import something which `matches`. */
function offenders(allowed: RegExp, matches: RegExp): string[] {
  return [...imports]
    .filter(([file, names]) => !allowed.test(file) && names.some((name) => matches.test(name)))
    .map(([file]) => file)
}

describe('import rules', () => {
  test('src/ is read at all', () => {
    expect(imports.size).toBeGreaterThan(20)
    expect(imports.get('path/pipeline.ts')).toContain('path/decode.ts')
  })

  test('the path imports nothing of control, cli and firewall', () => {
    expect(offenders(/^(?!path\/)/, /^(control|cli|firewall)\//)).toEqual([])
  })

  test('the pipeline can run without the addon', () => {
    expect(offenders(/^(?!path\/)|^path\/thread\.ts$/, /^kernel\//)).toEqual([])
  })

  test.each<[string, RegExp, RegExp]>([
    ['only kernel/ loads the addon', /^kernel\/addon\.ts$/, /^node:module$|\.node$/],
    ['only firewall/ starts processes', /^firewall\//, /^node:child_process$/],
    ['only control/metrics/ knows prom-client', /^control\/metrics\/metrics\.ts$/, /^prom-client$/],
  ])('%s', (_, allowed, matches) => {
    expect(offenders(allowed, matches)).toEqual([])
  })

  test('only main.ts ends the process', () => {
    const files = [...imports.keys()].filter((file) =>
      /process\.exit\(/.test(readFileSync(join(SOURCE, file), 'utf8')),
    )
    expect(files).toEqual(['main.ts'])
  })

  test('there are no import cycles', () => {
    const done = new Set<string>()
    const visit = (file: string, trail: string[]): string[] => {
      if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file]
      if (done.has(file)) return []
      for (const name of imports.get(file) ?? []) {
        const cycle = visit(name, [...trail, file])
        if (cycle.length > 0) return cycle
      }
      done.add(file)
      return []
    }
    for (const file of imports.keys()) expect(visit(file, [])).toEqual([])
  })
})
