import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readPanicMark, removePanicMark, writePanicMark } from '../../src/control/panic-marker.ts'
import { Scratch } from '../lib/scratch.ts'

let scratch: Scratch
let directory: string

beforeEach(() => {
  scratch = new Scratch()
  directory = scratch.path('a/state')
})

afterEach(() => scratch.close())

test('a mark is found with its reason and its time, until it is removed', () => {
  expect(readPanicMark(directory)).toBeUndefined()
  writePanicMark(directory, 'locked out')
  const mark = readPanicMark(directory)!
  expect(mark.reason).toBe('locked out')
  expect(Math.abs(mark.since.getTime() - Date.now())).toBeLessThan(60_000)
  expect(readdirSync(directory)).toEqual(['panic'])
  removePanicMark(directory)
  removePanicMark(directory)
  expect(readPanicMark(directory)).toBeUndefined()
})

test.each([
  ['an empty file', '', 'the file is there'],
  ['terminal escapes', '\u001b[31mred\n', '[31mred'],
  ['a long text', 'x'.repeat(5000), 'x'.repeat(200)],
])('%s counts too', (_, text, reason) => {
  mkdirSync(directory, { recursive: true })
  writeFileSync(`${directory}/panic`, text)
  expect(readPanicMark(directory)?.reason).toBe(reason)
})

test('a place that cannot be written is an error', () => {
  writeFileSync(scratch.path('a'), '')
  expect(() => writePanicMark(directory, 'x')).toThrow(/ENOTDIR/)
})
