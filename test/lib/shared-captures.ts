import { existsSync } from 'node:fs'

/** Real captures of others, which are no part of the project: they lie beside its checkout, or nowhere. */
export const SHARED_CAPTURES = new URL('../../../shared/pcaps/', import.meta.url).pathname

const isThere = existsSync(`${SHARED_CAPTURES}INDEX.tsv`)

/**
 * Whether the shared captures are there, and a line about it where they are not.
 *
 * @param missing what is not looked at then: "the real captures are not replayed"
 */
export function hasSharedCaptures(missing: string): boolean {
  if (!isThere) console.warn(`no ${SHARED_CAPTURES}: ${missing}`)
  return isThere
}
