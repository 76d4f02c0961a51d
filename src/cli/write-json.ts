import { openOutput } from './output.ts'

/** Texts of a few bytes each would cost a system call each. */
const LEAST_LENGTH = 65_536

/** Writes `value` to standard output as one line of `jsonPieces`. @throws Failure `cannotCreate`; ReaderGone */
export async function writeJson(value: object): Promise<void> {
  const output = await openOutput('-')
  let text = ''
  for (const piece of jsonPieces(value)) {
    text += piece
    if (text.length < LEAST_LENGTH) continue
    await output.write(text)
    text = ''
  }
  await output.write(`${text}\n`)
}

/**
 * What `JSON.stringify` makes of `value`, but never more than a part of it at a time. Whatever can be gone through is a
 * list, of which each item is made when its turn comes.
 */
export function* jsonPieces(value: unknown): Generator<string> {
  if (typeof value !== 'object' || value === null) yield JSON.stringify(value)
  else if (Symbol.iterator in value) yield* itemsOf(value as Iterable<unknown>)
  else yield* membersOf(value as Readonly<Record<string, unknown>>)
}

function* itemsOf(list: Iterable<unknown>): Generator<string> {
  let before = '['
  for (const item of list) {
    yield before + JSON.stringify(item)
    before = ','
  }
  yield before === '[' ? '[]' : ']'
}

function* membersOf(object: Readonly<Record<string, unknown>>): Generator<string> {
  let before = '{'
  for (const name of Object.keys(object)) {
    const value = object[name]
    if (value === undefined) continue
    yield `${before}${JSON.stringify(name)}:`
    yield* jsonPieces(value)
    before = ','
  }
  yield before === '{' ? '{}' : '}'
}
