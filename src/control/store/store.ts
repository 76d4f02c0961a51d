import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '../log/log.ts'
import { Repeater } from '../repeater.ts'
import { clockStep, type RowClock, readingClock, type Stamp, stampNow, writingClock } from './store-clock.ts'
import { classified, type Database, openDatabase, StoreUnavailable, setAside } from './store-database.ts'
import { encodeStamp, Rows, readStamp, STAMP_KEY, type StoredRow, slices } from './store-reading.ts'
import { DamagedRow, encodeRow, type StoreRow } from './store-row.ts'

/** What is remembered now is written within this time: the most that a crash can lose. */
const WRITE_MS = 1000
/** So often a store that failed is tried again. */
const RETRY_MS = 5000
/** Rows that are put together before the control thread does something else: about 5 ms. */
const SLICE = 500
/** Clocks drift; a step is more. */
const STEP_MS = 2000

/**
 * A part of the daemon's memory that outlives it. The memory is the truth, and the store a copy of it: the owner
 * says which keys have changed, and the store asks what they hold now.
 */
export interface StoredTable {
  /** `bans`; small letters. */
  readonly name: string
  /** Keys that there are; bounded, like the memory behind it. */
  keys(): Iterable<string>
  /** What is kept under `key` now; `undefined`: nothing any more. */
  read(key: string, clock: RowClock): StoreRow | undefined
  /**
   * Takes over some rows of an earlier run whose time is not over, in the order of their keys, each as it is
   * decoded: then hardly anything of it outlives its turn. Rows are those of a table by this name and have the
   * right checksum; what they say is still to be checked. What it doesn't want
   * it leaves alone: keys that `read` then knows nothing of are deleted.
   *
   * @param isSameKernel whether the kernel's sets are those from when the rows were written.
   */
  restore(rows: Iterable<StoredRow>, clock: RowClock, isSameKernel: boolean): void
  /** There are no more. */
  restored?(): void
}

export interface StoreOptions {
  /** The store is a directory in it. */
  readonly directory: string
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** By default the present; tests set the clock, and start the kernel anew. */
  readonly stamp?: () => Stamp
  readonly writeMs?: number
  readonly retryMs?: number
}

/**
 * Keeps tables over restarts, kill -9 and power loss, in a LevelDB that only this process opens. All that has
 * changed in a second is one transaction, on the disk when it is done; a thread of libuv writes it, so nothing
 * here waits for the disk. Whatever fails, the daemon runs: `problem` says what, and it is tried again.
 */
export class Store {
  /** What is wrong; `undefined`: all that is older than a second is on the disk. */
  problem: string | undefined
  failures = 0
  rowsWritten = 0
  readonly path: string
  readonly #options: StoreOptions
  readonly #tables = new Map<string, StoredTable>()
  #changed = new Set<string>()
  #database: Database | undefined
  #writer: Repeater | undefined
  /** Memory and file may differ in keys that nobody has named. */
  #isAllChanged = false
  #isRestored = false
  /** Of the rows in the file: their wall clock is the one of this moment. */
  #stamp: Stamp | undefined
  #nextTryMs = 0

  constructor(options: StoreOptions) {
    this.#options = options
    this.path = join(options.directory, 'store')
  }

  /** Makes `table` part of the store. Returns the function that says that a key has changed. */
  add(table: StoredTable): (key: string) => void {
    this.#tables.set(table.name, table)
    return (key) => {
      // Without a file there is nothing to compare with: it will be written as a whole.
      if (this.#database !== undefined && !this.#isAllChanged) this.#changed.add(`${table.name} ${key}`)
    }
  }

  /** Opens the file, hands its rows to the tables, and writes from then on. Never throws. */
  async start(): Promise<void> {
    await this.#attempt(() => this.#open())
    this.#writer = new Repeater(
      () => this.#attempt(() => this.#work()),
      () => this.#options.writeMs ?? WRITE_MS,
    )
  }

  /** Writes what has changed, and closes the file. */
  async close(): Promise<void> {
    await this.#writer?.stop()
    if (this.#database === undefined) return
    await this.#attempt(() => this.#write())
    await this.#database?.close()
    this.#database = undefined
  }

  async #work(): Promise<void> {
    if (this.#database === undefined) {
      if (this.#options.now() < this.#nextTryMs) return
      await this.#open()
    }
    await this.#write()
    if (this.problem === undefined) return
    this.#options.log.info('store', `the store ${this.path} works again`)
    this.problem = undefined
  }

  async #open(): Promise<void> {
    // From now on: what is taken over from the file need not be noted key by key.
    this.#isAllChanged = true
    try {
      if (existsSync(this.path)) {
        this.#database = await openDatabase(this.path)
        await this.#read(this.#database)
      } else await this.#create()
    } catch (error) {
      const reason = error instanceof DamagedRow ? error : classified(error, this.path)
      if (reason instanceof StoreUnavailable) throw reason
      await this.#database?.close()
      this.#database = undefined
      const name = setAside(this.path)
      const message = `the store ${this.path} cannot be used (${reason.message}): it is now ${name}, and a new one begins`
      this.#options.log.error('store-set-aside', message)
      await this.#create()
    }
    this.#isRestored = true
  }

  /** With a stamp from the beginning: a store without one has lost it. */
  async #create(): Promise<void> {
    this.#database = await openDatabase(this.path)
    await this.#database.put(STAMP_KEY, encodeStamp(this.#present()), { sync: true })
  }

  /** Rows that were read before some damage was met have their checksum, and stay. */
  async #read(database: Database): Promise<void> {
    const stamp = await readStamp(database)
    if (this.#isRestored) return
    const present = this.#present()
    const clock = readingClock(stamp, present, this.#options.now)
    const nowMs = this.#options.now()
    const isAlive = ({ untilMs }: StoreRow) => untilMs === null || clock.toMonotonic(untilMs) > nowMs
    const found: string[] = []
    for (const table of this.#tables.values()) {
      let count = 0
      for await (const slice of slices(database, `${table.name} `)) {
        const rows = new Rows(slice, table.name.length + 1, isAlive)
        table.restore(rows.alive(), clock, stamp.epoch === present.epoch)
        count += rows.count
        if (rows.damage !== undefined) throw rows.damage
      }
      table.restored?.()
      found.push(`${count} ${table.name}`)
    }
    this.#options.log.info('store', `remembered from ${this.path}: ${found.join(', ')}`)
  }

  async #write(): Promise<void> {
    const database = this.#database!
    const stamp = this.#present()
    // Ends are kept by the wall clock. When that is set, they all have to be written anew.
    const isStepped = this.#stamp !== undefined && Math.abs(clockStep(this.#stamp, stamp)) > STEP_MS
    const isWhole = this.#isAllChanged || isStepped
    if (!isWhole && this.#changed.size === 0) return
    const changed = this.#changed
    this.#changed = new Set()
    this.#isAllChanged = false
    const batch = database.batch()
    const clock = writingClock(this.#options.now, stamp.wallMs)
    let count = 0
    const pause = async () => {
      if (++count % SLICE === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    if (isWhole) {
      for await (const keys of slices(database, '')) {
        for (const [key] of keys) {
          if (this.#rowOf(key, clock) === undefined) batch.del(key)
          await pause()
        }
      }
    }
    for (const full of isWhole ? this.#allKeys() : changed) {
      const row = this.#rowOf(full, clock)
      if (row === undefined) batch.del(full)
      else batch.put(full, encodeRow(full, row))
      await pause()
    }
    this.#stamp = stamp
    batch.put(STAMP_KEY, encodeStamp(stamp))
    await batch.write({ sync: true })
    this.rowsWritten += count
  }

  #present(): Stamp {
    return (this.#options.stamp ?? stampNow)()
  }

  #rowOf(full: string, clock: RowClock): StoreRow | undefined {
    const name = full.slice(0, full.indexOf(' '))
    return this.#tables.get(name)?.read(full.slice(name.length + 1), clock)
  }

  *#allKeys(): Generator<string> {
    for (const table of this.#tables.values()) {
      for (const key of table.keys()) yield `${table.name} ${key}`
    }
  }

  /** Whatever `action` fails with becomes the problem; the file is closed, and opened again later. */
  async #attempt(action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      this.failures++
      const reason = classified(error, this.path)
      await this.#database?.close().catch(() => {})
      this.#database = undefined
      this.#nextTryMs = this.#options.now() + (this.#options.retryMs ?? RETRY_MS)
      const problem = `nothing is remembered for the next start: the store ${this.path}: ${reason.message}`
      if (problem !== this.problem) this.#options.log.error('store-failed', problem)
      this.problem = problem
    }
  }
}
