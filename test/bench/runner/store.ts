import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pageOf } from './page.ts'
import type { BenchResult } from './results.ts'

/** Not kept by git. */
const DIRECTORY = new URL('../../../build/bench/', import.meta.url).pathname

/** Keeps the latest result of each bench. */
export function saveResult(result: BenchResult): void {
  mkdirSync(DIRECTORY, { recursive: true })
  writeFileSync(join(DIRECTORY, `${result.bench}.json`), `${JSON.stringify(result, undefined, 1)}\n`)
}

/** The latest result of each bench that has run here, by name. */
export function savedResults(): BenchResult[] {
  mkdirSync(DIRECTORY, { recursive: true })
  const files = readdirSync(DIRECTORY).filter((file) => file.endsWith('.json'))
  return files.sort().map((file) => JSON.parse(readFileSync(join(DIRECTORY, file), 'utf8')) as BenchResult)
}

/** Writes one page with all saved results. @returns where it is. */
export function writePage(): string {
  const file = join(DIRECTORY, 'index.html')
  writeFileSync(file, pageOf(savedResults()))
  return file
}
