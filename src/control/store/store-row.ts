import { crc32 } from 'node:zlib'

/** What the store keeps under a key. Times inside `value` are milliseconds of the wall clock. */
export interface StoreRow {
  readonly value: unknown
  /** Wall clock; `null`: no end. */
  readonly untilMs: number | null
}

/** A row that is not what was written: the file is damaged, or somebody else's. */
export class DamagedRow extends Error {}

/** A row as text, with a checksum that includes its key: a flipped bit must not ban somebody else. */
export function encodeRow(key: string, { value, untilMs }: StoreRow): string {
  const text = JSON.stringify([untilMs, value])
  return checksum(key, text).toString(16).padStart(CHECKSUM_DIGITS, '0') + text
}

/** @throws DamagedRow */
export function decodeRow(key: string, encoded: string): StoreRow {
  const text = encoded.slice(CHECKSUM_DIGITS)
  if (Number.parseInt(encoded.slice(0, CHECKSUM_DIGITS), 16) !== checksum(key, text)) {
    throw new DamagedRow(`the checksum of "${key}" is wrong`)
  }
  const [untilMs, value] = JSON.parse(text) as [number | null, unknown]
  return { untilMs, value }
}

const CHECKSUM_DIGITS = 8

function checksum(key: string, text: string): number {
  return crc32(`${key}\n${text}`)
}
