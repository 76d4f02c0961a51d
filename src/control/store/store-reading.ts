import type { Stamp } from './store-clock.ts'
import { type Database, StoreBroken } from './store-database.ts'
import { decodeRow, encodeRow, type StoreRow } from './store-row.ts'

/** Says what the file is and when it was last written. Older or newer ones are set aside. */
export const STAMP_KEY = '!stamp'
const FORMAT = 'sluice 1'
/** Few and large: each is a trip to a thread of libuv and back, which takes its time on a busy machine. */
const READ_SLICE = 10_000
const READ_SLICE_BYTES = 2 ** 22

/** A row with its key. */
export type StoredRow = readonly [key: string, row: StoreRow]

/** Decodes rows one by one, up to the first that is damaged: those before it are good. */
export class Rows {
  count = 0
  damage: unknown
  readonly #slice: readonly [key: string, encoded: string][]
  readonly #keyAt: number
  readonly #isAlive: (row: StoreRow) => boolean

  /** @param keyAt where in a full key the table's own begins */
  constructor(
    slice: readonly [key: string, encoded: string][],
    keyAt: number,
    isAlive: (row: StoreRow) => boolean,
  ) {
    this.#slice = slice
    this.#keyAt = keyAt
    this.#isAlive = isAlive
  }

  *alive(): Generator<StoredRow> {
    for (const [full, encoded] of this.#slice) {
      const row = this.#decode(full, encoded)
      if (row === undefined) return
      if (!this.#isAlive(row)) continue
      this.count++
      yield [full.slice(this.#keyAt), row]
    }
  }

  #decode(full: string, encoded: string): StoreRow | undefined {
    try {
      return decodeRow(full, encoded)
    } catch (error) {
      this.damage = error
      return undefined
    }
  }
}

export function encodeStamp(stamp: Stamp): string {
  return encodeRow(STAMP_KEY, { value: { format: FORMAT, ...stamp }, untilMs: null })
}

/** @throws StoreBroken, DamagedRow */
export async function readStamp(database: Database): Promise<Stamp> {
  const encoded = await database.get(STAMP_KEY)
  // LevelDB leaves out what is damaged in its log, and that may be all.
  if (encoded === undefined) throw new StoreBroken('it was not written by sluice, or has lost what it held')
  const { format, ...stamp } = decodeRow(STAMP_KEY, encoded).value as Stamp & { format: string }
  if (format !== FORMAT) throw new StoreBroken(`its format is ${JSON.stringify(format)}, not "${FORMAT}"`)
  return stamp
}

/** The rows whose keys begin with `prefix`, but for the stamp, some at a time; the next are read meanwhile. */
export async function* slices(
  database: Database,
  prefix: string,
): AsyncGenerator<[key: string, encoded: string][]> {
  const iterator = database.iterator({
    gt: prefix === '' ? STAMP_KEY : prefix,
    lt: `${prefix}\uffff`,
    fillCache: false,
    highWaterMarkBytes: READ_SLICE_BYTES,
  })
  const readOn = () => {
    const rows = iterator.nextv(READ_SLICE)
    // Nobody may come to wait for it.
    rows.catch(() => {})
    return rows
  }
  try {
    let next = readOn()
    for (;;) {
      const rows = await next
      if (rows.length === 0) return
      next = readOn()
      yield rows
    }
  } finally {
    await iterator.close()
  }
}
