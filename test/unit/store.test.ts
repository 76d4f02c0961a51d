import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Store } from '../../src/control/store/store.ts'
import type { RowClock, Stamp } from '../../src/control/store/store-clock.ts'
import { openDatabase } from '../../src/control/store/store-database.ts'
import type { StoreRow } from '../../src/control/store/store-row.ts'
import { eventually } from '../lib/eventually.ts'
import { Scratch } from '../lib/scratch.ts'
import { TestLog } from '../lib/test-log.ts'

const WRITER = new URL('../lib/store-writer.mjs', import.meta.url).pathname
const HOUR = 3_600_000
const START = Date.parse('2026-01-01T00:00:00Z')

let scratch: Scratch
let open: Memory[]

beforeEach(() => {
  scratch = new Scratch()
  open = []
})

afterEach(async () => {
  for (const memory of open) await memory.store.close()
  scratch.close()
})

/** A daemon's memory of ends by key, in a store, with clocks of its own. */
class Memory {
  readonly ends = new Map<string, number>()
  readonly clock: Stamp & { nowMs: number }
  readonly store: Store
  readonly lines: string[]
  isSameKernel: boolean | undefined
  /** A key that it takes over from no earlier run. */
  unwanted = ''
  readonly #changed: (key: string) => void

  constructor(clock: Partial<Stamp> = {}, directory = scratch.directory) {
    this.clock = { epoch: 'boot 1', monotonicMs: 1000, wallMs: START, ...clock, nowMs: 50 }
    const { log, lines } = new TestLog()
    this.lines = lines
    this.store = new Store({
      directory,
      log,
      now: () => this.clock.nowMs,
      stamp: () => ({
        epoch: this.clock.epoch,
        monotonicMs: this.clock.monotonicMs,
        wallMs: this.clock.wallMs,
      }),
      writeMs: 1,
      retryMs: 0,
    })
    this.#changed = this.store.add({
      name: 'ends',
      keys: () => this.ends.keys(),
      read: (key, clock) => this.#read(key, clock),
      restore: (rows, clock, isSameKernel) => {
        this.isSameKernel = isSameKernel
        for (const [key, { untilMs }] of rows) {
          if (key !== this.unwanted) this.ends.set(key, clock.toMonotonic(untilMs!))
        }
      },
    })
    open.push(this)
  }

  #read(key: string, clock: RowClock): StoreRow | undefined {
    const endMs = this.ends.get(key)
    return endMs === undefined ? undefined : { value: key, untilMs: clock.toWall(endMs) }
  }

  static async start(...args: ConstructorParameters<typeof Memory>): Promise<Memory> {
    const memory = new Memory(...args)
    await memory.store.start()
    return memory
  }

  set(key: string, leftMs: number): void {
    this.ends.set(key, this.clock.nowMs + leftMs)
    this.#changed(key)
  }

  delete(key: string): void {
    this.ends.delete(key)
    this.#changed(key)
  }

  /** What is left of each, in hours. */
  left(): Record<string, number> {
    return Object.fromEntries([...this.ends].map(([key, endMs]) => [key, (endMs - this.clock.nowMs) / HOUR]))
  }

  /** Time passes, on all clocks. */
  pass(ms: number): void {
    this.clock.nowMs += ms
    this.setClock(ms, ms)
  }

  setClock(wallMs: number, monotonicMs = 0): void {
    Object.assign(this.clock, {
      wallMs: this.clock.wallMs + wallMs,
      monotonicMs: this.clock.monotonicMs + monotonicMs,
    })
  }
}

function storeFiles(pattern: RegExp): string[] {
  const directory = join(scratch.directory, 'store')
  return readdirSync(directory)
    .filter((name) => pattern.test(name))
    .map((name) => join(directory, name))
}

describe('the store', () => {
  test('gives back what was kept, without what was deleted or is over', async () => {
    const first = await Memory.start()
    first.set('a', 5 * HOUR)
    first.set('b', HOUR)
    first.set('c', 5 * HOUR)
    await eventually('it is written', () => first.store.rowsWritten >= 3)
    first.delete('c')
    await first.store.close()
    const second = await Memory.start({ monotonicMs: 1000 + 2 * HOUR, wallMs: START + 2 * HOUR })
    expect(second.left()).toEqual({ a: 3 })
    expect(second.isSameKernel).toBe(true)
    expect(second.lines).toEqual([`info store: remembered from ${second.store.path}: 1 ends`])
  })

  test('what was not taken over is gone from the file too', async () => {
    const first = await Memory.start()
    first.set('a', HOUR)
    first.set('b', HOUR)
    await first.store.close()
    const second = new Memory()
    second.unwanted = 'a'
    await second.store.start()
    await second.store.close()
    expect((await Memory.start()).left()).toEqual({ b: 1 })
  })

  test.each<[string, Partial<Stamp>, number]>([
    [
      'within one boot the clock may be set forward',
      { monotonicMs: 1000 + HOUR, wallMs: START + 99 * HOUR },
      4,
    ],
    ['within one boot the clock may be set back', { monotonicMs: 1000 + HOUR, wallMs: START - 99 * HOUR }, 4],
    [
      'after a reboot the wall clock counts',
      { epoch: 'boot 2', monotonicMs: 7, wallMs: START + 2 * HOUR },
      3,
    ],
    [
      'after a reboot with a clock that went back, no time has passed',
      { epoch: 'boot 2', wallMs: START - 9 * HOUR },
      5,
    ],
  ])('%s', async (_, clock, left) => {
    const first = await Memory.start()
    first.set('a', 5 * HOUR)
    await first.store.close()
    const second = await Memory.start(clock)
    expect(second.left().a).toBeCloseTo(left, 5)
    expect(second.isSameKernel).toBe(clock.epoch === undefined)
  })

  test.each([
    ['forward', 30 * HOUR],
    ['back', -30 * HOUR],
  ])('a clock set %s while it runs changes no end', async (_, stepMs) => {
    const first = await Memory.start()
    first.set('a', 5 * HOUR)
    await eventually('it is written', () => first.store.rowsWritten > 0)
    first.pass(HOUR)
    first.setClock(stepMs)
    const written = first.store.rowsWritten
    await eventually('it is written anew', () => first.store.rowsWritten > written)
    await first.store.close()
    const second = await Memory.start({ epoch: 'boot 2', wallMs: START + stepMs + 2 * HOUR })
    expect(second.left().a).toBeCloseTo(3, 5)
  })

  test('is open once', async () => {
    const first = await Memory.start()
    first.set('a', HOUR)
    const second = await Memory.start()
    expect(second.store.problem).toContain('another process has it open')
    second.set('b', HOUR)
    await first.store.close()
    await eventually('the second has it', () => second.store.problem === undefined)
    await second.store.close()
    expect((await Memory.start()).left()).toEqual({ a: 1, b: 1 })
  })
})

describe('a file that cannot be used', () => {
  const damage: [string, () => void][] = [
    ['cut off in the middle', () => truncateSync(storeFiles(/\.(ldb|log)$/).at(-1)!, 20)],
    [
      'with flipped bits',
      () => {
        for (const file of storeFiles(/\.(ldb|log)$/)) {
          writeFileSync(
            file,
            readFileSync(file).map((byte, i) => (i % 50 === 9 ? byte ^ 0x10 : byte)),
          )
        }
      },
    ],
    ['without its list of files', () => rmSync(storeFiles(/MANIFEST/)[0]!)],
    ['that is no directory', () => replaceBy(() => writeFileSync(join(scratch.directory, 'store'), 'mine'))],
    [
      'of somebody else',
      () =>
        replaceBy(() => {
          mkdirSync(join(scratch.directory, 'store'))
          writeFileSync(join(scratch.directory, 'store/letter.txt'), 'mine')
        }),
    ],
  ]

  function replaceBy(make: () => void): void {
    rmSync(join(scratch.directory, 'store'), { recursive: true })
    make()
  }

  test.each(damage)('%s is never believed, and a new one works', async (what, break_) => {
    const first = await Memory.start()
    for (let i = 0; i < 300; i++) first.set(`key ${i}`, HOUR)
    await first.store.close()
    break_()
    const second = await Memory.start()
    for (const [key, hours] of Object.entries(second.left())) {
      expect(key).toMatch(/^key \d+$/)
      expect(hours).toBeCloseTo(1, 5)
    }
    expect(second.store.problem).toBeUndefined()
    second.set('new', HOUR)
    await second.store.close()
    expect((await Memory.start()).left().new).toBeCloseTo(1, 5)
    if (what.startsWith('cut off')) return
    const aside = readdirSync(scratch.directory).find((name) => name.startsWith('store.broken-'))!
    expect(second.lines[0]).toMatch(/^error store-set-aside: the store \S+ cannot be used \(.+\): it is now /)
    expect(second.lines[0]).toContain(aside)
    if (what.startsWith('of somebody')) {
      expect(readFileSync(join(scratch.directory, aside, 'letter.txt'), 'utf8')).toBe('mine')
    }
  })

  test('with one row that is damaged: those before it stay, however many are read at a time', async () => {
    const first = await Memory.start()
    for (let i = 0; i < 300; i++) first.set(`key ${i + 100}`, HOUR)
    await first.store.close()
    const database = await openDatabase(join(scratch.directory, 'store'))
    // The checksum of another row.
    await database.put('ends key 250', (await database.get('ends key 251'))!)
    await database.close()
    const second = await Memory.start()
    expect(second.lines[0]).toContain('the checksum of "ends key 250" is wrong')
    expect(Object.keys(second.left())).toHaveLength(150)
  })

  test('in a place that cannot be written: said once, tried again, and then all is written', async () => {
    const place = scratch.path('place')
    writeFileSync(place, 'in the way')
    const memory = await Memory.start({}, place)
    memory.set('a', HOUR)
    await eventually('it was tried again', () => memory.store.failures > 2)
    expect(memory.store.problem).toMatch(/^nothing is remembered for the next start: .*cannot make/)
    expect(memory.lines).toHaveLength(1)
    rmSync(place)
    await eventually('it works', () => memory.store.problem === undefined && memory.store.rowsWritten > 0)
    expect(memory.lines.at(-1)).toContain('works again')
    await memory.store.close()
    expect((await Memory.start({}, place)).left()).toEqual({ a: 1 })
    expect(statSync(place).mode & 0o777).toBe(0o750)
  })
})

test('kill -9 at random moments while it writes loses nothing that was written, and breaks nothing', async () => {
  let committed = 0
  for (let round = 0; round < 12; round++) {
    const writer = spawn(process.execPath, [WRITER, scratch.directory, `${committed}`])
    const lines = createInterface({ input: writer.stdout })
    let errors = ''
    writer.stderr.on('data', (text) => {
      errors += text
    })
    lines.on('line', (line) => {
      committed = Number(line)
    })
    await Promise.race([once(lines, 'line'), once(writer, 'exit')])
    await sleep(Math.random() * 120)
    writer.kill('SIGKILL')
    await once(writer, 'close')
    expect(errors).toBe('')

    const { log, lines: logged } = new TestLog()
    const store = new Store({ directory: scratch.directory, log, now: () => performance.now() })
    const generations: number[] = []
    store.add({
      name: 'bans',
      keys: () => [],
      read: () => undefined,
      restore: (rows) => {
        for (const [, { value }] of rows) generations.push((value as { generation: number }).generation)
      },
    })
    await store.start()
    // Closed without a write: the next round finds the file as it was.
    expect([store.problem, logged.filter((line) => line.startsWith('error'))]).toEqual([undefined, []])
    expect(generations).toHaveLength(40)
    // All rows are of one transaction, and it is the last that was on the disk, or one after it.
    expect(new Set(generations).size).toBe(1)
    expect(generations[0]).toBeGreaterThanOrEqual(committed)
    committed = generations[0]!
    await store.close()
    expect(existsSync(store.path)).toBe(true)
  }
  expect(committed).toBeGreaterThan(12)
})
